package ntp

import (
	"crypto/aes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/aead/cmac"
)

// symmetricKey is a key of ntp.keys(5).
type symmetricKey struct {
	id     uint32
	digest func(packet []byte) ([]byte, error)
}

// newSymmetricKey takes the type words of ntp.keys: MD5, SHA1, SHA256 (digest of key and packet) and AES128 (CMAC, RFC 8573).
// A secret longer than 20 characters is hexadecimal, as the daemons read it.
func newSymmetricKey(id uint32, kind, secret string) (*symmetricKey, error) {
	bytes := []byte(secret)
	if len(secret) > 20 {
		decoded, err := hex.DecodeString(secret)
		if err != nil {
			return nil, fmt.Errorf("key %d: a secret of more than 20 characters must be hexadecimal", id)
		}
		bytes = decoded
	}
	hashed := func(sum func(text []byte) []byte) *symmetricKey {
		return &symmetricKey{id, func(packet []byte) ([]byte, error) {
			return sum(append(append([]byte{}, bytes...), packet...)), nil
		}}
	}
	switch strings.ToUpper(kind) {
	case "MD5":
		return hashed(func(text []byte) []byte { sum := md5.Sum(text); return sum[:] }), nil
	case "SHA1":
		return hashed(func(text []byte) []byte { sum := sha1.Sum(text); return sum[:] }), nil
	case "SHA256":
		return hashed(func(text []byte) []byte { sum := sha256.Sum256(text); return sum[:20] }), nil
	case "AES", "AES128", "AES128CMAC":
		padded := make([]byte, 16)
		copy(padded, bytes)
		block, err := aes.NewCipher(padded)
		if err != nil {
			return nil, err
		}
		return &symmetricKey{id, func(packet []byte) ([]byte, error) { return cmac.Sum(packet, block, 16) }}, nil
	}
	return nil, fmt.Errorf("key %d: type %s is none of MD5, SHA1, SHA256, AES128", id, kind)
}

// seal appends key id and digest.
func (k *symmetricKey) seal(packet []byte) ([]byte, error) {
	digest, err := k.digest(packet)
	if err != nil {
		return nil, err
	}
	return append(binary.BigEndian.AppendUint32(packet, k.id), digest...), nil
}

// verify says what is wrong with a reply's MAC, empty for a good one.
func (k *symmetricKey) verify(packet []byte) string {
	if len(packet) == headerBytes {
		return "no-mac"
	}
	if len(packet) == headerBytes+4 {
		return "crypto-nak"
	}
	want, err := k.digest(packet[:headerBytes])
	if err != nil || len(packet) != headerBytes+4+len(want) {
		return "mac-length"
	}
	if binary.BigEndian.Uint32(packet[headerBytes:]) != k.id {
		return "key-id"
	}
	if subtle.ConstantTimeCompare(want, packet[headerBytes+4:]) != 1 {
		return "mac"
	}
	return ""
}
