//go:build linux

package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"strconv"
	"strings"
)

// An event's body begins with its number, by which the receiver knows it again
// inside of the envelope.
const (
	seqMark   = `"seq":"`
	seqDigits = 10
)

// body returns a body of about size bytes, at least 32: an object with members
// such as orders and issues have, so that reading it costs what reading JSON costs.
func body(size int) []byte {
	var b bytes.Buffer
	b.WriteString(`{` + seqMark + strings.Repeat("0", seqDigits) + `"`)
	for i := 0; b.Len()+64 < size; i++ {
		n := strconv.Itoa(i)
		b.WriteString(`,"item_` + n + `":{"name":"a thing","price":` + n + `.99,"paid":true}`)
	}
	if pad := size - b.Len() - len(`,"pad":""}`); pad >= 0 {
		b.WriteString(`,"pad":"` + strings.Repeat("x", pad) + `"`)
	}
	b.WriteByte('}')
	return b.Bytes()
}

// putSeq writes the number of an event into a body.
func putSeq(body []byte, seq int) {
	at := len(`{`+seqMark) + seqDigits
	for i := 1; i <= seqDigits; i++ {
		body[at-i] = "0123456789"[seq%10]
		seq /= 10
	}
}

// findSeq finds the number in what was delivered; -1: there is none.
func findSeq(delivered []byte) int {
	at := bytes.Index(delivered, []byte(seqMark))
	if at < 0 || len(delivered) < at+len(seqMark)+seqDigits {
		return -1
	}
	seq := 0
	for _, c := range delivered[at+len(seqMark):][:seqDigits] {
		if c < '0' || c > '9' {
			return -1
		}
		seq = seq*10 + int(c-'0')
	}
	return seq
}

// signer makes requests signed after Standard Webhooks, without an allocation:
// the library's Signer is made for one request, not for a load of them.
type signer struct {
	mac  hash.Hash
	sum  []byte
	text []byte
}

func newSigner(secret string) (*signer, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		return nil, err
	}
	return &signer{mac: hmac.New(sha256.New, key)}, nil
}

// appendRequest appends a whole HTTP/1.1 request to dst.
func (s *signer) appendRequest(dst []byte, host, path string, seq int, unix int64, body []byte) []byte {
	s.text = append(s.text[:0], "msg_"...)
	s.text = strconv.AppendInt(s.text, int64(seq), 10)
	id := len(s.text)
	s.text = append(s.text, '.')
	s.text = strconv.AppendInt(s.text, unix, 10)
	s.text = append(s.text, '.')
	s.mac.Reset()
	s.mac.Write(s.text)
	s.mac.Write(body)
	s.sum = s.mac.Sum(s.sum[:0])

	dst = append(dst, "POST "...)
	dst = append(dst, path...)
	dst = append(dst, " HTTP/1.1\r\nHost: "...)
	dst = append(dst, host...)
	dst = append(dst, "\r\nUser-Agent: bench\r\nContent-Type: application/json\r\nContent-Length: "...)
	dst = strconv.AppendInt(dst, int64(len(body)), 10)
	dst = append(dst, "\r\nWebhook-Id: "...)
	dst = append(dst, s.text[:id]...)
	dst = append(dst, "\r\nWebhook-Timestamp: "...)
	dst = strconv.AppendInt(dst, unix, 10)
	dst = append(dst, "\r\nWebhook-Signature: v1,"...)
	dst = base64.StdEncoding.AppendEncode(dst, s.sum)
	dst = append(dst, "\r\n\r\n"...)
	return append(dst, body...)
}
