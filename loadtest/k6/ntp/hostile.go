package ntp

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"time"
)

const longestHostile = 1200

// hostileSum is what was sent and what came back. A server that answers with more than it got is a weapon.
type hostileSum struct {
	Sent          int `js:"sent"`
	SentBytes     int `js:"sentBytes"`
	Received      int `js:"received"`
	ReceivedBytes int `js:"receivedBytes"`
}

// hostile sends what no client would, at a rate, and counts what comes back.
func (c *client) hostile(ctx context.Context, rate float64, length time.Duration) (hostileSum, error) {
	var sum hostileSum
	s, err := c.open(0)
	if err != nil {
		return sum, err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		buffer := make([]byte, longestReply)
		for {
			count, err := s.connection.Read(buffer)
			if timeout, ok := err.(net.Error); err != nil && (!ok || timeout.Timeout()) {
				return
			} else if err == nil {
				sum.Received++
				sum.ReceivedBytes += count
			}
		}
	}()
	began, total := time.Now(), int(rate*length.Seconds())
	packet := make([]byte, longestHostile)
	for sent := 0; sent < total && ctx.Err() == nil; time.Sleep(tick) {
		for due := min(total, int(time.Since(began).Seconds()*rate)); sent < due; sent++ {
			made := misshapen(packet)
			if _, err := s.connection.Write(made); err == nil {
				sum.Sent++
				sum.SentBytes += len(made)
			}
		}
	}
	_ = s.connection.SetReadDeadline(time.Now().Add(c.options.timeout))
	<-ended
	return sum, s.connection.Close()
}

// misshapen fills a packet with one of the things that come over the internet: noise, modes that nobody should answer at length,
// fields that lie about their size, cookies that nobody sealed.
func misshapen(packet []byte) []byte {
	noise := func(bytes []byte) {
		for index := range bytes {
			bytes[index] = byte(rand.Uint32())
		}
	}
	header := packet[:headerBytes]
	noise(header)
	switch rand.IntN(6) {
	case 0: // anything at all
		length := rand.IntN(longestHostile)
		noise(packet[:length])
		return packet[:length]
	case 1: // mode 6: read variables, status, the client list, by a stranger
		header[0] = 0x26
		header[1] = byte([]int{1, 2, 10, 12, 31}[rand.IntN(5)])
		return header[:12]
	case 2: // mode 7: monlist
		copy(header, []byte{0x17, 0, 3, 42, 0, 0, 0, 0})
		return header
	case 3: // extension fields of random type and length
		header[0] = 0x23
		rest := packet[headerBytes : headerBytes+16+rand.IntN(600)]
		noise(rest)
		return packet[:headerBytes+len(rest)]
	case 4: // NTS with a cookie that nobody sealed
		header[0] = 0x23
		made := field(header, fieldUniqueID, packet[400:432])
		made = field(made, fieldCookie, packet[500:600])
		body := binary.BigEndian.AppendUint16(nil, nonceBytes)
		body = binary.BigEndian.AppendUint16(body, tagBytes)
		return field(made, fieldAuthenticator, append(body, packet[700:700+nonceBytes+tagBytes]...))
	default: // a MAC under a key that nobody has
		header[0] = 0x23
		noise(packet[headerBytes : headerBytes+24])
		return packet[:headerBytes+24]
	}
}
