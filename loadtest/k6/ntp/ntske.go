package ntp

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
)

// Records of NTS-KE (RFC 8915 §4.1) and the one AEAD that every server has.
const (
	recordEnd          = 0
	recordNextProtocol = 1
	recordError        = 2
	recordWarning      = 3
	recordAEAD         = 4
	recordCookie       = 5
	recordServer       = 6
	recordPort         = 7
	critical           = 0x8000
	aesSIVCMAC256      = 15
	keyBytes           = 32
	exporterLabel      = "EXPORTER-network-time-security"
	longestAnswer      = 65536
)

// session is what a key exchange gives: the keys of both directions and cookies.
type session struct {
	toServer, toClient *siv
	cookies            [][]byte
	// address of the time server; the key exchange's own where none was named
	address string
}

// exchangeKeys does one NTS-KE handshake. Source is the local address, nil for the system's choice.
func exchangeKeys(ctx context.Context, server string, config *tls.Config, source *net.TCPAddr) (*session, error) {
	host, _, err := net.SplitHostPort(server)
	if err != nil {
		server, host = net.JoinHostPort(server, "4460"), server
	}
	config = config.Clone()
	config.MinVersion = tls.VersionTLS13
	config.NextProtos = []string{"ntske/1"}
	if config.ServerName == "" {
		config.ServerName = host
	}
	dialer := &tls.Dialer{Config: config, NetDialer: &net.Dialer{}}
	if source != nil {
		dialer.NetDialer.LocalAddr = source
	}
	raw, err := dialer.DialContext(ctx, "tcp", server)
	if err != nil {
		return nil, err
	}
	connection := raw.(*tls.Conn)
	defer connection.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = connection.SetDeadline(deadline)
	}
	state := connection.ConnectionState()
	if state.NegotiatedProtocol != "ntske/1" {
		return nil, errors.New("the server speaks TLS, but not ntske/1")
	}
	ask := record(nil, recordNextProtocol|critical, 0, 0)
	ask = record(ask, recordAEAD|critical, 0, aesSIVCMAC256)
	ask = record(ask, recordEnd|critical)
	if _, err := connection.Write(ask); err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(io.LimitReader(connection, longestAnswer))
	if err != nil && len(answer) == 0 {
		return nil, err
	}
	found, err := readAnswer(answer, host)
	if err != nil {
		return nil, err
	}
	for direction, to := range []**siv{&found.toServer, &found.toClient} {
		key, err := state.ExportKeyingMaterial(exporterLabel, []byte{0, 0, 0, aesSIVCMAC256, byte(direction)}, keyBytes)
		if err != nil {
			return nil, err
		}
		if *to, err = newSIV(key); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func record(to []byte, kind uint16, body ...byte) []byte {
	to = binary.BigEndian.AppendUint16(to, kind)
	to = binary.BigEndian.AppendUint16(to, uint16(len(body)))
	return append(to, body...)
}

// readAnswer takes an NTS-KE answer apart. Host is the time server where the answer names none.
func readAnswer(answer []byte, host string) (*session, error) {
	found := &session{}
	port, aead, ended := 123, -1, false
	for len(answer) > 0 && !ended {
		if len(answer) < 4 {
			return nil, errors.New("the answer ends inside a record")
		}
		kind, length := binary.BigEndian.Uint16(answer), int(binary.BigEndian.Uint16(answer[2:]))
		if len(answer) < 4+length {
			return nil, errors.New("the answer ends inside a record's body")
		}
		body := answer[4 : 4+length]
		answer = answer[4+length:]
		switch kind &^ critical {
		case recordEnd:
			ended = true
		case recordNextProtocol:
			if length < 2 || binary.BigEndian.Uint16(body) != 0 {
				return nil, errors.New("the server does not offer NTPv4")
			}
		case recordAEAD:
			if length == 2 {
				aead = int(binary.BigEndian.Uint16(body))
			}
		case recordCookie:
			found.cookies = append(found.cookies, append([]byte{}, body...))
		case recordServer:
			host = string(body)
		case recordPort:
			if length == 2 {
				port = int(binary.BigEndian.Uint16(body))
			}
		case recordError, recordWarning:
			return nil, fmt.Errorf("the server answered with record %d, code %x", kind&^critical, body)
		default:
			if kind&critical != 0 {
				return nil, fmt.Errorf("unknown critical record %d", kind&^critical)
			}
		}
	}
	if !ended {
		return nil, errors.New("the answer has no End of Message")
	}
	if aead != aesSIVCMAC256 {
		return nil, fmt.Errorf("the server chose AEAD %d, asked for was %d", aead, aesSIVCMAC256)
	}
	if len(found.cookies) == 0 {
		return nil, errors.New("the answer has no cookie")
	}
	found.address = net.JoinHostPort(host, strconv.Itoa(port))
	return found, nil
}
