package ntp

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

// Options are what a script gives `new Client({…})`; see index.d.ts.
type Options struct {
	Target      string      `js:"target"`
	Version     int         `js:"version"`
	Timeout     float64     `js:"timeout"`
	Late        float64     `js:"late"`
	Sockets     int         `js:"sockets"`
	NewPort     bool        `js:"newPort"`
	Sources     []string    `js:"sources"`
	Interleaved bool        `js:"interleaved"`
	Tolerance   float64     `js:"tolerance"`
	Key         *KeyOptions `js:"key"`
	NTS         *NTSOptions `js:"nts"`
}

// KeyOptions name a key of ntp.keys(5).
type KeyOptions struct {
	ID     uint32 `js:"id"`
	Type   string `js:"type"`
	Secret string `js:"secret"`
}

// NTSOptions name an NTS-KE server.
type NTSOptions struct {
	Server  string  `js:"server"`
	Name    string  `js:"name"`
	CA      string  `js:"ca"`
	Timeout float64 `js:"timeout"`
}

type settings struct {
	target      string
	version     int
	timeout     time.Duration
	late        time.Duration
	sockets     int
	newPort     bool
	sources     []net.IP
	interleaved bool
	tolerance   float64
	key         *symmetricKey
	nts         *ntsSettings
}

type ntsSettings struct {
	server, name, ca string
	timeout          time.Duration
}

func milliseconds(given float64, otherwise time.Duration) time.Duration {
	if given <= 0 {
		return otherwise
	}
	return time.Duration(given * float64(time.Millisecond))
}

func (o Options) settings() (settings, error) {
	s := settings{
		target: o.Target, version: o.Version, timeout: milliseconds(o.Timeout, time.Second),
		late: milliseconds(o.Late, 100*time.Millisecond), sockets: o.Sockets,
		newPort: o.NewPort, interleaved: o.Interleaved, tolerance: o.Tolerance / 1000,
	}
	if s.version == 0 {
		s.version = 4
	}
	if s.version < 1 || s.version > 4 {
		return s, fmt.Errorf("version %d: NTP has 1 to 4", o.Version)
	}
	if s.sockets <= 0 {
		s.sockets = 1
	}
	if s.tolerance == 0 {
		s.tolerance = 0.001
	}
	if s.target == "" && o.NTS == nil {
		return s, errors.New("target is missing: ADDRESS:PORT of an NTP server")
	}
	if s.target != "" {
		if _, _, err := net.SplitHostPort(s.target); err != nil {
			s.target = net.JoinHostPort(s.target, "123")
		}
	}
	for _, text := range o.Sources {
		address := net.ParseIP(text)
		if address == nil {
			return s, fmt.Errorf("source %q is no IP address", text)
		}
		s.sources = append(s.sources, address)
	}
	if o.Key != nil && o.NTS != nil {
		return s, errors.New("a client has a key or NTS, not both")
	}
	if o.Key != nil {
		key, err := newSymmetricKey(o.Key.ID, o.Key.Type, o.Key.Secret)
		if err != nil {
			return s, err
		}
		s.key = key
	}
	if o.NTS != nil {
		if o.NTS.Server == "" {
			return s, errors.New("nts.server is missing: HOST:PORT of an NTS-KE server")
		}
		s.nts = &ntsSettings{o.NTS.Server, o.NTS.Name, o.NTS.CA, milliseconds(o.NTS.Timeout, 5*time.Second)}
	}
	return s, nil
}

func (n *ntsSettings) config() (*tls.Config, error) {
	config := &tls.Config{ServerName: n.name}
	if n.ca == "" {
		return config, nil
	}
	pem, err := os.ReadFile(n.ca)
	if err != nil {
		return nil, fmt.Errorf("nts.ca: %w", err)
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("nts.ca: %s holds no certificate", n.ca)
	}
	return config, nil
}

func readTimestamp(from []byte) timestamp       { return timestamp(binary.BigEndian.Uint64(from)) }
func writeTimestamp(to []byte, value timestamp) { binary.BigEndian.PutUint64(to, uint64(value)) }
