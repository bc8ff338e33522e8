// Package ntp is the k6 extension `k6/x/ntp`: NTP clients, plain, under symmetric keys and with NTS, whose every reply is
// checked. The wire format is RFC 5905's and RFC 7822's.
package ntp

import (
	"crypto/rand"
	"encoding/binary"
	"math"
	"time"
)

const (
	headerBytes    = 48
	modeClient     = 3
	modeServer     = 4
	unixToNTP      = 2_208_988_800 // seconds from 1900 to 1970
	unsynchronised = 3
)

// Offsets of the header's fields (RFC 5905 §7.3).
const (
	atFlags          = 0
	atStratum        = 1
	atPoll           = 2
	atRootDelay      = 4
	atRootDispersion = 8
	atReferenceID    = 12
	atOrigin         = 24
	atReceive        = 32
	atTransmit       = 40
)

// timestamp is an NTP timestamp: seconds since 1900 and 2^-32 of them, era left out.
type timestamp uint64

// now is the system's clock as an NTP timestamp.
func now() timestamp { return stamp(time.Now()) }

func stamp(at time.Time) timestamp {
	seconds := uint64(at.Unix()+unixToNTP) << 32
	return timestamp(seconds + uint64(at.Nanosecond())<<32/1_000_000_000)
}

// minus is a difference in seconds; right within 68 years, whatever the era.
func (t timestamp) minus(other timestamp) float64 { return float64(int64(t-other)) / (1 << 32) }

// short reads an NTP short: 2^-16 s, seconds returned.
func short(bytes []byte) float64 { return float64(binary.BigEndian.Uint32(bytes)) / 65536 }

// request writes a client packet's header. Its transmit timestamp is random: it tells a reply from all others and says
// nothing of the client's clock (draft-ietf-ntp-data-minimization).
func request(packet []byte, version int) (timestamp, error) {
	clear(packet[:headerBytes])
	packet[atFlags] = byte(version<<3 | modeClient)
	packet[atPoll] = 6
	if _, err := rand.Read(packet[atTransmit:headerBytes]); err != nil {
		return 0, err
	}
	return timestamp(binary.BigEndian.Uint64(packet[atTransmit:])), nil
}

// Reply is what a server said, times in seconds.
type Reply struct {
	Offset       float64 `js:"offset"`
	Delay        float64 `js:"delay"`
	RootDistance float64 `js:"rootDistance"`
	Stratum      int     `js:"stratum"`
	Leap         int     `js:"leap"`
	Version      int     `js:"version"`
	Reference    string  `js:"reference"`
	// Kiss is the four letters of a kiss-o'-death, empty for time.
	Kiss string `js:"kiss"`
	// Bytes of the reply; never more than of the request.
	Bytes int `js:"bytes"`
	// Cookies left with NTS.
	Cookies int `js:"cookies"`
	// Interleaved says that the server answered in interleaved mode (RFC 9769).
	Interleaved bool `js:"interleaved"`
}

// sentRequest is what a reply is judged by.
type sentRequest struct {
	bytes    int
	version  int
	transmit timestamp
	// receive is the request's receive timestamp: the origin of an interleaved reply; 0 where none was asked for.
	receive timestamp
	sent    time.Time
}

// judge reads a reply and says what is wrong with it, in one word that is a metric's tag; empty for a good one.
func judge(packet []byte, asked sentRequest, received time.Time) (Reply, string) {
	reply := Reply{Bytes: len(packet)}
	if len(packet) < headerBytes {
		return reply, "short"
	}
	if len(packet) > asked.bytes {
		return reply, "longer-than-request"
	}
	origin := timestamp(binary.BigEndian.Uint64(packet[atOrigin:]))
	reply.Interleaved = asked.receive != 0 && origin == asked.receive
	if origin != asked.transmit && !reply.Interleaved {
		return reply, "origin"
	}
	flags := packet[atFlags]
	reply.Leap, reply.Version, reply.Stratum = int(flags>>6), int(flags>>3&7), int(packet[atStratum])
	if flags&7 != modeServer {
		return reply, "mode"
	}
	if reply.Version != asked.version {
		return reply, "version"
	}
	if reply.Stratum == 0 && reply.Leap == unsynchronised {
		reply.Kiss = string(packet[atReferenceID : atReferenceID+4])
		if isLetters(packet[atReferenceID : atReferenceID+4]) {
			return reply, ""
		}
	}
	if reply.Leap == unsynchronised || reply.Stratum == 0 || reply.Stratum > 15 {
		return reply, "unsynchronised"
	}
	reply.Reference = reference(packet[atReferenceID:atReferenceID+4], reply.Stratum)
	t1, t4 := stamp(asked.sent), stamp(received)
	t2 := timestamp(binary.BigEndian.Uint64(packet[atReceive:]))
	t3 := timestamp(binary.BigEndian.Uint64(packet[atTransmit:]))
	held := t3.minus(t2)
	reply.Delay = received.Sub(asked.sent).Seconds() - held
	reply.Offset = (t2.minus(t1) + t3.minus(t4)) / 2
	reply.RootDistance = short(packet[atRootDelay:])/2 + short(packet[atRootDispersion:])
	if !reply.Interleaved && (held < 0 || reply.Delay < -1e-4) {
		return reply, "order"
	}
	return reply, ""
}

// isWrong says whether served time lies outside what the server claims: root distance, half of the delay, and what the
// client's own clock readings may be off by.
func (r Reply) isWrong(tolerance float64) bool {
	return math.Abs(r.Offset) > r.RootDistance+math.Abs(r.Delay)/2+tolerance
}

func isLetters(bytes []byte) bool {
	for _, letter := range bytes {
		if letter < 'A' || letter > 'Z' {
			return false
		}
	}
	return true
}
