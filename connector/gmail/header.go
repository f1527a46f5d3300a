package gmail

import (
	"bytes"
	"io"
	"mime"
	"net/mail"
	"strings"
	"unicode"

	"golang.org/x/text/encoding/htmlindex"
	gmailapi "google.golang.org/api/gmail/v1"
)

const (
	maxHeader      = 8 << 10  // bytes of one decoded text
	maxAddressText = 64 << 10 // bytes of a header that are looked at
	maxAddresses   = 1000     // of one header
)

// headers are those of a message or part; names are case-insensitive.
type headers []*gmailapi.MessagePartHeader

// get returns the first value.
func (h headers) get(name string) string {
	for _, v := range h {
		if v != nil && strings.EqualFold(v.Name, name) {
			return v.Value
		}
	}
	return ""
}

// all joins the values of an address header that is repeated, which some
// programs do although RFC 5322 forbids it.
func (h headers) all(name string) string {
	var values []string
	for _, v := range h {
		if v != nil && strings.EqualFold(v.Name, name) && strings.TrimSpace(v.Value) != "" {
			values = append(values, v.Value)
		}
	}
	return strings.Join(values, ", ")
}

func wordDecoder() *mime.WordDecoder {
	return &mime.WordDecoder{CharsetReader: func(charset string, in io.Reader) (io.Reader, error) {
		enc, err := htmlindex.Get(charset)
		if err != nil {
			return nil, err
		}
		// One word is short; a Reader would have buffers of 8 KiB for each of them.
		b, err := io.ReadAll(in)
		if err != nil {
			return nil, err
		}
		b, err = enc.NewDecoder().Bytes(b)
		return bytes.NewReader(b), err
	}}
}

// decodeHeader undoes RFC 2047. What cannot be decoded stays as it is.
func decodeHeader(value string) string {
	value, _ = clip(value, maxAddressText)
	if text, err := wordDecoder().DecodeHeader(value); err == nil {
		value = text
	}
	return plain(value)
}

// plain makes one line of printable text. An encoded word can hold anything:
// line breaks that would become headers in a mail that quotes it, and signs
// that turn the direction of what follows.
func plain(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r), r == '\u2028', r == '\u2029':
			return ' '
		case r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069': // bidirectional overrides and isolates
			return -1
		}
		return r
	}, s)
	return strings.TrimSpace(s)
}

// parseAddresses reads an address list (RFC 5322, section 3.4), as far as what
// people's programs write is one: a part that is no address becomes a name.
func parseAddresses(value string) (list []Address, cut bool) {
	value, cut = clip(value, maxAddressText)
	parser := mail.AddressParser{WordDecoder: wordDecoder()}
	parsed, err := parser.ParseList(value)
	if err == nil {
		for _, a := range parsed {
			list = append(list, Address{Name: plain(a.Name), Email: plain(a.Address)})
		}
	} else {
		for _, text := range splitList(value) {
			if len(list) > maxAddresses {
				break
			}
			if a, ok := lenient(&parser, text); ok {
				list = append(list, a)
			}
		}
	}
	if len(list) > maxAddresses {
		list, cut = list[:maxAddresses], true
	}
	for i, a := range list {
		var c [2]bool
		list[i].Name, c[0] = clip(a.Name, maxHeader)
		list[i].Email, c[1] = clip(a.Email, maxHeader)
		cut = cut || c[0] || c[1]
	}
	return list, cut
}

// lenient reads one entry of a list that does not follow the rules.
func lenient(parser *mail.AddressParser, text string) (Address, bool) {
	if a, err := parser.Parse(text); err == nil {
		return Address{Name: plain(a.Name), Email: plain(a.Address)}, true
	}
	text = decodeHeader(text)
	if text == "" || strings.HasSuffix(text, ":") { // an empty group: "undisclosed-recipients:;"
		return Address{}, false
	}
	if i := strings.LastIndexByte(text, '<'); i >= 0 {
		inner, _, closed := strings.Cut(text[i+1:], ">")
		if inner = strings.TrimSpace(inner); closed && isAddress(inner) {
			return Address{Name: strings.Trim(strings.TrimSpace(text[:i]), `"`), Email: inner}, true
		}
	}
	if isAddress(text) {
		return Address{Email: text}, true
	}
	return Address{Name: text}, true
}

// isAddress is a glance, not a proof: one @ with something on both sides and no spaces.
func isAddress(s string) bool {
	at := strings.IndexByte(s, '@')
	return at > 0 && at < len(s)-1 && strings.Count(s, "@") == 1 && !strings.ContainsFunc(s, unicode.IsSpace) &&
		!strings.ContainsAny(s, "<>,;\"")
}

// splitList splits at commas outside of quotes and angle brackets.
func splitList(value string) []string {
	var parts []string
	from, quoted, angle := 0, false, false
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '<':
			angle = true
		case c == '>':
			angle = false
		case (c == ',' || c == ';') && !angle:
			parts = append(parts, strings.TrimSpace(value[from:i]))
			from = i + 1
		}
	}
	return append(parts, strings.TrimSpace(value[from:]))
}
