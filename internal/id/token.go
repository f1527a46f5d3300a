package id

import (
	"crypto/rand"
	"encoding/base64"
	"hash/crc32"
	"math/big"
	"strings"
)

// Token returns n random bytes as text of [A-Za-z0-9_-]: 43 characters for 32
// bytes. It fits into a URL, a header and a form field as it is.
func Token(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails: it ends the program instead
	return base64.RawURLEncoding.EncodeToString(b)
}

const (
	apiKeyPrefix = "itk_"
	apiKeyBody   = 43 // base62 digits of 32 bytes
	apiKeySum    = 6  // base62 digits of a CRC-32
)

// APIKey returns a fresh API key: "itk_", 43 characters base62 of 32 random
// bytes, and 6 of their CRC-32, so that typos are refused without a look-up and
// scanners for leaked secrets recognise it.
func APIKey() string {
	var b [32]byte
	rand.Read(b[:])
	body := base62(new(big.Int).SetBytes(b[:]), apiKeyBody)
	return apiKeyPrefix + body + checksum(body)
}

// ValidAPIKey reports whether s has the form of an API key and its checksum is
// right. Whether such a key was ever given out is another question.
func ValidAPIKey(s string) bool {
	rest, ok := strings.CutPrefix(s, apiKeyPrefix)
	if !ok || len(rest) != apiKeyBody+apiKeySum {
		return false
	}
	for i := range len(rest) {
		c := rest[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return checksum(rest[:apiKeyBody]) == rest[apiKeyBody:]
}

func checksum(body string) string {
	sum := crc32.ChecksumIEEE([]byte(body))
	return base62(new(big.Int).SetUint64(uint64(sum)), apiKeySum)
}

// base62 writes n with the digits 0-9a-zA-Z, filled up with zeros on the left.
func base62(n *big.Int, width int) string {
	s := n.Text(62)
	return strings.Repeat("0", max(0, width-len(s))) + s
}
