package ntp

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
)

// Extension fields of NTS (RFC 8915 §5).
const (
	fieldUniqueID      = 0x0104
	fieldCookie        = 0x0204
	fieldPlaceholder   = 0x0304
	fieldAuthenticator = 0x0404
	uniqueIDBytes      = 32
	nonceBytes         = 16
	tagBytes           = 16
	mostCookies        = 8
)

var errNoCookie = errors.New("no cookie is left")

// protect adds NTS's fields to a request: a new unique identifier, one cookie, as many placeholders as bring the store back
// to eight, the authenticator. Returns the packet and the identifier.
func (s *session) protect(packet []byte) ([]byte, []byte, error) {
	if len(s.cookies) == 0 {
		return nil, nil, errNoCookie
	}
	cookie := s.cookies[0]
	s.cookies = s.cookies[1:]
	unique := make([]byte, uniqueIDBytes)
	nonce := make([]byte, nonceBytes)
	if _, err := rand.Read(unique); err != nil {
		return nil, nil, err
	}
	if _, err := rand.Read(nonce); err != nil {
		return nil, nil, err
	}
	packet = field(packet, fieldUniqueID, unique)
	packet = field(packet, fieldCookie, cookie)
	for missing := mostCookies - 1 - len(s.cookies); missing > 0; missing-- {
		packet = field(packet, fieldPlaceholder, make([]byte, len(cookie)))
	}
	sealed := s.toServer.seal(nonce, nil, packet)
	body := binary.BigEndian.AppendUint16(nil, nonceBytes)
	body = binary.BigEndian.AppendUint16(body, uint16(len(sealed)))
	body = append(append(body, nonce...), sealed...)
	return field(packet, fieldAuthenticator, body), unique, nil
}

// verify checks a reply's identifier and authenticator and keeps its cookies. It says what is wrong, empty for a good one.
func (s *session) verify(packet, unique []byte) string {
	rest, at, named := packet[headerBytes:], headerBytes, false
	for len(rest) >= 4 {
		kind, length := binary.BigEndian.Uint16(rest), int(binary.BigEndian.Uint16(rest[2:]))
		if length < 4 || length > len(rest) {
			return "nts-field"
		}
		body := rest[4:length]
		switch kind {
		case fieldUniqueID:
			named = bytes.Equal(body, unique)
		case fieldAuthenticator:
			if !named {
				return "nts-identifier"
			}
			return s.open(body, packet[:at])
		}
		rest, at = rest[length:], at+length
	}
	return "nts-unauthenticated"
}

func (s *session) open(body, associated []byte) string {
	if len(body) < 4 {
		return "nts-field"
	}
	nonceLength, sealedLength := int(binary.BigEndian.Uint16(body)), int(binary.BigEndian.Uint16(body[2:]))
	padded := (nonceLength + 3) &^ 3
	if nonceLength != nonceBytes || sealedLength < tagBytes || len(body) < 4+padded+sealedLength {
		return "nts-field"
	}
	plain, err := s.toClient.open(body[4:4+nonceLength], body[4+padded:4+padded+sealedLength], associated)
	if err != nil {
		return "nts-tag"
	}
	for len(plain) >= 4 {
		kind, length := binary.BigEndian.Uint16(plain), int(binary.BigEndian.Uint16(plain[2:]))
		if length < 4 || length > len(plain) {
			return "nts-field"
		}
		if kind == fieldCookie && len(s.cookies) < mostCookies {
			s.cookies = append(s.cookies, append([]byte{}, plain[4:length]...))
		}
		plain = plain[length:]
	}
	return ""
}

// field appends an extension field, its body padded to a multiple of four.
func field(packet []byte, kind uint16, body []byte) []byte {
	padding := (4 - len(body)%4) % 4
	packet = binary.BigEndian.AppendUint16(packet, kind)
	packet = binary.BigEndian.AppendUint16(packet, uint16(4+len(body)+padding))
	packet = append(packet, body...)
	return append(packet, make([]byte, padding)...)
}
