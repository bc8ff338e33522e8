package ntp

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// A flow is an open loop: requests go out at their pace whether replies come or not, and a stalled server meets all that clients
// would have sent it meanwhile.

const (
	// ringSlots is how many requests of one socket can be under way. The low bits of a transmit timestamp are its slot.
	ringSlots = 1 << 16
	// mostTogether is how many requests one system call sends.
	mostTogether = 16
	tick         = time.Millisecond
	tellEvery    = 50 * time.Millisecond
	// stalled is how late a tick must be for the generator to have stood still itself. Then replies wait in its sockets: nothing is
	// lost before they have been read, and what was not sent meanwhile goes out at a pace that clients might have.
	stalled    = 20 * time.Millisecond
	afterStall = 250 * time.Millisecond
	catchUp    = 1.25
	// detailed is how many replies a second are told with duration and offset; all of them are judged and counted.
	detailed      = 2000
	receiveBuffer = 4 << 20
)

// tally is what happened since the last one was told.
type tally struct {
	sent, replies int
	// of the replies those that came later than the client's `late`
	late        int
	lost        map[string]int
	wrong, kiss map[string]int
	// took is how long sending lasted, told once at its end: longer than was asked for where the generator could not keep its pace
	took time.Duration
	// durations and offsets of some of the replies, milliseconds
	durations, offsets []float64
}

func newTally() tally {
	return tally{lost: map[string]int{}, wrong: map[string]int{}, kiss: map[string]int{}}
}

// batcher is what ipv4.PacketConn and ipv6.PacketConn have in common: their messages are one type.
type batcher interface {
	ReadBatch(messages []ipv4.Message, flags int) (int, error)
	WriteBatch(messages []ipv4.Message, flags int) (int, error)
}

// stream is one socket of a flow with its requests under way.
type stream struct {
	connection net.Conn
	batches    batcher
	// asked holds transmit timestamps, 0 where nothing is waited for; sent when, in nanoseconds since 1970.
	asked, sent [ringSlots]atomic.Int64
	next, tail  int
}

type flow struct {
	client *client
	lock   sync.Mutex
	tally  tally
	// nth: of so many replies one is told in detail
	nth, counted int
	// patientUntil: nothing is given up before. Only the sender's goroutine uses it.
	patientUntil time.Time
}

// flow asks `rate` times a second for so long, then waits for the last replies. Only plain requests have no state that an
// open loop would run dry.
func (c *client) flow(ctx context.Context, rate float64, length time.Duration, tell func(tally)) error {
	if c.options.key != nil || c.options.nts != nil || c.options.interleaved {
		return errors.New("flow() is for plain requests; query() and burst() have keys, NTS and interleaved mode")
	}
	f := &flow{client: c, tally: newTally(), nth: max(1, int(rate)/detailed)}
	streams := make([]*stream, c.options.sockets)
	for index := range streams {
		s, err := c.open(index)
		if err != nil {
			return err
		}
		defer s.connection.Close()
		streams[index] = s
	}
	var readers sync.WaitGroup
	for _, s := range streams {
		readers.Add(1)
		go func() { defer readers.Done(); f.read(s) }()
	}
	told := time.NewTicker(tellEvery)
	defer told.Stop()
	stopped := make(chan struct{})
	var teller sync.WaitGroup
	teller.Add(1)
	go func() {
		defer teller.Done()
		for {
			select {
			case <-told.C:
				f.tell(tell)
			case <-stopped:
				f.tell(tell)
				return
			}
		}
	}()
	began := time.Now()
	f.send(ctx, streams, rate, length)
	took := time.Since(began)
	f.lock.Lock()
	f.tally.took = took
	f.lock.Unlock()
	f.settle(ctx, streams)
	for _, s := range streams {
		_ = s.connection.SetReadDeadline(time.Now())
	}
	readers.Wait()
	close(stopped)
	teller.Wait()
	return nil
}

func (c *client) open(index int) (*stream, error) {
	dialer := net.Dialer{}
	if len(c.options.sources) > 0 {
		dialer.LocalAddr = &net.UDPAddr{IP: c.options.sources[index%len(c.options.sources)]}
	}
	connection, err := dialer.Dial("udp", c.options.target)
	if err != nil {
		return nil, err
	}
	udp := connection.(*net.UDPConn)
	_ = udp.SetReadBuffer(receiveBuffer)
	s := &stream{connection: connection}
	if udp.RemoteAddr().(*net.UDPAddr).IP.To4() != nil {
		s.batches = ipv4.NewPacketConn(udp)
	} else {
		s.batches = ipv6.NewPacketConn(udp)
	}
	return s, nil
}

func (f *flow) send(ctx context.Context, streams []*stream, rate float64, length time.Duration) {
	messages := make([]ipv4.Message, mostTogether)
	for index := range messages {
		messages[index].Buffers = [][]byte{make([]byte, headerBytes)}
	}
	began := time.Now()
	total := int(rate * length.Seconds())
	pace := time.NewTicker(tick)
	defer pace.Stop()
	before := began
	for sent, turn := 0, 0; sent < total && ctx.Err() == nil; <-pace.C {
		passed := f.passed(&before)
		due := min(total, int(time.Since(began).Seconds()*rate)) - sent
		due = min(due, 1+int(catchUp*rate*min(passed, stalled).Seconds()))
		for due > 0 && ctx.Err() == nil {
			s := streams[turn%len(streams)]
			turn++
			count := min(due, mostTogether)
			f.ask(s, messages[:count])
			due -= count
			sent += count
		}
		f.sweep(streams[turn%len(streams)])
	}
}

// passed is the time since the last look, and notes where the generator stood still.
func (f *flow) passed(before *time.Time) time.Duration {
	now := time.Now()
	passed := now.Sub(*before)
	*before = now
	if passed > stalled {
		f.patientUntil = now.Add(afterStall)
	}
	return passed
}

// ask sends as many requests as there are messages.
func (f *flow) ask(s *stream, messages []ipv4.Message) {
	now := time.Now().UnixNano()
	for index := range messages {
		packet := messages[index].Buffers[0]
		clear(packet)
		packet[atFlags] = byte(f.client.options.version<<3 | modeClient)
		packet[atPoll] = 6
		slot := s.next % ringSlots
		// A whole ring without an answer: the oldest is given up.
		if s.next-s.tail >= ringSlots {
			f.giveUp(s)
		}
		transmit := rand.Uint64()&^(ringSlots-1) | uint64(slot)
		binary.BigEndian.PutUint64(packet[atTransmit:], transmit)
		s.sent[slot].Store(now)
		s.asked[slot].Store(int64(transmit))
		s.next++
	}
	failed := 0
	for from := 0; from < len(messages); {
		count, err := s.batches.WriteBatch(messages[from:], 0)
		if err != nil {
			// An ICMP error of an earlier request ends this call and says nothing of these; a second try does.
			if failed++; failed > 1 {
				break
			}
			continue
		}
		from += count
	}
	f.lock.Lock()
	f.tally.sent += len(messages)
	f.lock.Unlock()
}

// giveUp counts the oldest request as lost where no reply has come.
func (f *flow) giveUp(s *stream) {
	slot := s.tail % ringSlots
	s.tail++
	if s.asked[slot].Swap(0) == 0 {
		return
	}
	f.lock.Lock()
	f.tally.lost["timeout"]++
	f.lock.Unlock()
}

// sweep gives up what has waited for longer than the timeout. Only the sender's goroutine calls it.
func (f *flow) sweep(s *stream) {
	now := time.Now()
	if now.Before(f.patientUntil) {
		return
	}
	limit := now.Add(-f.client.options.timeout).UnixNano()
	for s.tail < s.next {
		slot := s.tail % ringSlots
		if s.asked[slot].Load() != 0 && s.sent[slot].Load() > limit {
			return
		}
		f.giveUp(s)
	}
}

// settle waits for what is under way.
func (f *flow) settle(ctx context.Context, streams []*stream) {
	before := time.Now()
	until := before.Add(f.client.options.timeout + tick)
	for {
		f.passed(&before)
		waiting := 0
		for _, s := range streams {
			f.sweep(s)
			waiting += s.next - s.tail
		}
		if waiting == 0 {
			return
		}
		if now := time.Now(); now.After(until) && now.After(f.patientUntil) || ctx.Err() != nil {
			break
		}
		time.Sleep(tick)
	}
	for _, s := range streams {
		for s.tail < s.next {
			f.giveUp(s)
		}
	}
}

func (f *flow) read(s *stream) {
	messages := make([]ipv4.Message, mostTogether)
	for index := range messages {
		messages[index].Buffers = [][]byte{make([]byte, longestReply)}
	}
	for {
		count, err := s.batches.ReadBatch(messages, 0)
		received := time.Now()
		if err != nil {
			var timeout net.Error
			if errors.Is(err, net.ErrClosed) || errors.As(err, &timeout) && timeout.Timeout() {
				return
			}
			// Nobody at the port: what was asked is lost when its time is up.
			continue
		}
		for index := range count {
			f.take(s, messages[index].Buffers[0][:messages[index].N], received)
		}
	}
}

func (f *flow) take(s *stream, packet []byte, received time.Time) {
	wrong, reply := "short", Reply{}
	var sent time.Time
	if len(packet) >= headerBytes {
		origin := int64(binary.BigEndian.Uint64(packet[atOrigin:]))
		slot := origin & (ringSlots - 1)
		sent = time.Unix(0, s.sent[slot].Load())
		// Late, twice, or nobody's: not a reply to anything that is waited for.
		if origin == 0 || !s.asked[slot].CompareAndSwap(origin, 0) {
			return
		}
		asked := sentRequest{bytes: headerBytes, version: f.client.options.version, transmit: timestamp(origin), sent: sent}
		reply, wrong = judge(packet, asked, received)
		if wrong == "" && reply.Kiss == "" && reply.isWrong(f.client.options.tolerance) {
			wrong = "time"
		}
	}
	f.lock.Lock()
	defer f.lock.Unlock()
	switch {
	case wrong != "":
		f.tally.wrong[wrong]++
	case reply.Kiss != "":
		f.tally.kiss[reply.Kiss]++
	default:
		f.tally.replies++
		if received.Sub(sent) > f.client.options.late {
			f.tally.late++
		}
		if f.counted++; f.counted%f.nth == 0 {
			f.tally.durations = append(f.tally.durations, received.Sub(sent).Seconds()*1000)
			f.tally.offsets = append(f.tally.offsets, reply.Offset*1000)
		}
	}
}

func (f *flow) tell(to func(tally)) {
	f.lock.Lock()
	done := f.tally
	f.tally = newTally()
	f.lock.Unlock()
	to(done)
}
