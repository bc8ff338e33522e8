package ntp

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"errors"

	"github.com/aead/cmac"
)

// siv is AEAD_AES_SIV_CMAC_256 (RFC 5297 §6.1). The packages for Go that have it with keys of 32 bytes are unmaintained.
type siv struct{ mac, encrypt cipher.Block }

var errNotAuthentic = errors.New("the text is not authentic")

func newSIV(key []byte) (*siv, error) {
	mac, err := aes.NewCipher(key[:len(key)/2])
	if err != nil {
		return nil, err
	}
	encrypt, err := aes.NewCipher(key[len(key)/2:])
	return &siv{mac, encrypt}, err
}

// synthetic is S2V over the strings of RFC 5297 §2.4; the last one is the plain text.
func (s *siv) synthetic(texts ...[]byte) []byte {
	d := s.cmac(make([]byte, aes.BlockSize))
	last := texts[len(texts)-1]
	for _, text := range texts[:len(texts)-1] {
		d = doubled(d)
		subtle.XORBytes(d, d, s.cmac(text))
	}
	if len(last) >= aes.BlockSize {
		final := append([]byte{}, last...)
		end := final[len(final)-aes.BlockSize:]
		subtle.XORBytes(end, end, d)
		return s.cmac(final)
	}
	padded := make([]byte, aes.BlockSize)
	copy(padded, last)
	padded[len(last)] = 0x80
	d = doubled(d)
	subtle.XORBytes(d, d, padded)
	return s.cmac(d)
}

func (s *siv) cmac(text []byte) []byte {
	sum, err := cmac.Sum(text, s.mac, aes.BlockSize)
	if err != nil {
		panic(err) // only for a block size that AES does not have
	}
	return sum
}

// doubled is multiplication by x in GF(2^128).
func doubled(d []byte) []byte {
	out := make([]byte, aes.BlockSize)
	carry := byte(0)
	for at := aes.BlockSize - 1; at >= 0; at-- {
		out[at] = d[at]<<1 | carry
		carry = d[at] >> 7
	}
	out[aes.BlockSize-1] ^= 0x87 * carry
	return out
}

func (s *siv) stream(iv []byte) cipher.Stream {
	counter := append([]byte{}, iv...)
	counter[8] &= 0x7f
	counter[12] &= 0x7f
	return cipher.NewCTR(s.encrypt, counter)
}

// seal returns the synthetic IV and the cipher text behind it.
func (s *siv) seal(nonce, plain, associated []byte) []byte {
	iv := s.synthetic(associated, nonce, plain)
	sealed := append(iv, make([]byte, len(plain))...)
	s.stream(iv).XORKeyStream(sealed[aes.BlockSize:], plain)
	return sealed
}

func (s *siv) open(nonce, sealed, associated []byte) ([]byte, error) {
	if len(sealed) < aes.BlockSize {
		return nil, errNotAuthentic
	}
	iv, plain := sealed[:aes.BlockSize], make([]byte, len(sealed)-aes.BlockSize)
	s.stream(iv).XORKeyStream(plain, sealed[aes.BlockSize:])
	if subtle.ConstantTimeCompare(iv, s.synthetic(associated, nonce, plain)) != 1 {
		return nil, errNotAuthentic
	}
	return plain, nil
}
