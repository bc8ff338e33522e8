package ntp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// longestReply is read whole, so that a reply longer than its request is noticed.
const longestReply = 2048

// client is one load client: sockets of its own, keys or cookies of its own. Safe for use by many goroutines, each of which
// has a socket for itself while it asks.
type client struct {
	options settings
	sockets chan *socket
	tls     *tls.Config
	lock    sync.Mutex
	nts     *session
	closed  bool
	all     []*socket
}

// socket is one source port, with what interleaved mode keeps of the last exchange.
type socket struct {
	net.Conn
	to             string
	serverReceived timestamp
	received       timestamp
}

// outcome is one request's end: a reply, or why there is none. Lost and wrong are words for tags.
type outcome struct {
	reply Reply
	// lost: "timeout", "refused", "no-cookie" …; nothing came that belongs to the request
	lost string
	// wrong: a reply that is not to be believed
	wrong     string
	duration  time.Duration
	handshake time.Duration
}

func newClient(options settings) (*client, error) {
	c := &client{options: options, sockets: make(chan *socket, options.sockets)}
	if options.nts != nil {
		config, err := options.nts.config()
		if err != nil {
			return nil, err
		}
		c.tls = config
	}
	for range options.sockets {
		s := &socket{}
		c.all = append(c.all, s)
		c.sockets <- s
	}
	return c, nil
}

// connect gives a socket its port; again after the server's address has changed or where every request is to have another.
func (c *client) connect(s *socket, to string) error {
	if s.Conn != nil && s.to == to && !c.options.newPort {
		return nil
	}
	if s.Conn != nil {
		_ = s.Conn.Close()
		s.Conn = nil
	}
	dialer := net.Dialer{}
	if len(c.options.sources) > 0 {
		dialer.LocalAddr = &net.UDPAddr{IP: c.options.sources[rand.IntN(len(c.options.sources))]}
	}
	connection, err := dialer.Dial("udp", to)
	if err != nil {
		return err
	}
	*s = socket{Conn: connection, to: to}
	return nil
}

// query asks once. It ends within the options' timeout, and sooner when the context does.
func (c *client) query(ctx context.Context) outcome {
	var result outcome
	deadline := time.Now().Add(c.options.timeout)
	to := c.options.target
	packet := make([]byte, headerBytes, longestReply)
	transmit, err := request(packet, c.options.version)
	if err != nil {
		return outcome{lost: "random"}
	}
	var s *socket
	select {
	case s = <-c.sockets:
		defer func() { c.sockets <- s }()
	case <-ctx.Done():
		return outcome{lost: "ended"}
	}
	asked := sentRequest{version: c.options.version, transmit: transmit}
	if c.options.interleaved && s.serverReceived != 0 {
		asked.receive = s.received
		writeTimestamp(packet[atOrigin:], s.serverReceived)
		writeTimestamp(packet[atReceive:], s.received)
	}
	var unique []byte
	switch {
	case c.options.key != nil:
		packet, err = c.options.key.seal(packet)
	case c.options.nts != nil:
		packet, unique, to, result.handshake, err = c.protect(ctx, packet)
	}
	if err != nil {
		result.lost = "keys"
		if errors.Is(err, errNoCookie) {
			result.lost = "no-cookie"
		}
		return result
	}
	if err := c.connect(s, to); err != nil {
		result.lost = "socket"
		return result
	}
	asked.bytes = len(packet)
	asked.sent = time.Now()
	if _, err := s.Write(packet); err != nil {
		result.lost = "send"
		return result
	}
	if result.handshake > 0 {
		deadline = asked.sent.Add(c.options.timeout)
	}
	if contextEnds, ok := ctx.Deadline(); ok && contextEnds.Before(deadline) {
		deadline = contextEnds
	}
	_ = s.SetReadDeadline(deadline)
	c.await(s, asked, unique, &result)
	return result
}

// await reads until the request's own reply is there: what belongs to an earlier request that was given up is passed over.
func (c *client) await(s *socket, asked sentRequest, unique []byte, result *outcome) {
	buffer := make([]byte, longestReply)
	for {
		length, err := s.Read(buffer)
		received := time.Now()
		if err != nil {
			result.lost = "timeout"
			var timeout net.Error
			if !errors.As(err, &timeout) || !timeout.Timeout() {
				result.lost = "refused"
			}
			return
		}
		packet := buffer[:length]
		reply, wrong := judge(packet, asked, received)
		if wrong == "origin" {
			continue
		}
		if wrong == "" && reply.Kiss == "" {
			wrong = c.authenticate(packet, unique)
		}
		if wrong == "" && reply.Kiss == "" && reply.isWrong(c.options.tolerance) {
			wrong = "time"
		}
		result.reply, result.wrong, result.duration = reply, wrong, received.Sub(asked.sent)
		if c.options.nts != nil {
			c.lock.Lock()
			if reply.Kiss == "NTSN" {
				c.nts = nil
			}
			if c.nts != nil {
				result.reply.Cookies = len(c.nts.cookies)
			}
			c.lock.Unlock()
		}
		if len(packet) >= headerBytes {
			s.serverReceived, s.received = readTimestamp(packet[atReceive:]), stamp(received)
		}
		return
	}
}

func (c *client) authenticate(packet, unique []byte) string {
	switch {
	case c.options.key != nil:
		return c.options.key.verify(packet)
	case c.options.nts != nil:
		c.lock.Lock()
		defer c.lock.Unlock()
		if c.nts == nil {
			return "nts-session"
		}
		return c.nts.verify(packet, unique)
	}
	return ""
}

// protect exchanges keys where there are none or no cookies, and adds NTS's fields.
func (c *client) protect(ctx context.Context, packet []byte) ([]byte, []byte, string, time.Duration, error) {
	c.lock.Lock()
	defer c.lock.Unlock()
	var took time.Duration
	if c.nts == nil || len(c.nts.cookies) == 0 {
		var err error
		if took, err = c.exchange(ctx); err != nil {
			return nil, nil, "", took, err
		}
	}
	packet, unique, err := c.nts.protect(packet)
	to := c.nts.address
	if c.options.target != "" {
		to = c.options.target
	}
	return packet, unique, to, took, err
}

// exchange makes the client's session anew; its lock must be held. Returns how long the handshake took.
func (c *client) exchange(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, c.options.nts.timeout)
	defer cancel()
	var source *net.TCPAddr
	if len(c.options.sources) > 0 {
		source = &net.TCPAddr{IP: c.options.sources[rand.IntN(len(c.options.sources))]}
	}
	began := time.Now()
	found, err := exchangeKeys(ctx, c.options.nts.server, c.tls, source)
	if err != nil {
		return time.Since(began), fmt.Errorf("NTS-KE with %s: %w", c.options.nts.server, err)
	}
	c.nts = found
	return time.Since(began), nil
}

// burst asks `count` times, at `rate` a second (0: as fast as the sockets answer), and tells each outcome.
func (c *client) burst(ctx context.Context, count int, rate float64, tell func(outcome)) {
	var running sync.WaitGroup
	began := time.Now()
	for index := range count {
		if rate > 0 {
			due := began.Add(time.Duration(float64(index) / rate * float64(time.Second)))
			if wait := time.Until(due); wait > 0 {
				select {
				case <-time.After(wait):
				case <-ctx.Done():
				}
			}
		}
		if ctx.Err() != nil {
			break
		}
		running.Add(1)
		go func() {
			defer running.Done()
			tell(c.query(ctx))
		}()
	}
	running.Wait()
}

func (c *client) close() {
	c.lock.Lock()
	defer c.lock.Unlock()
	if c.closed {
		return
	}
	c.closed = true
	for _, s := range c.all {
		if s.Conn != nil {
			_ = s.Conn.Close()
		}
	}
}
