package forward

import (
	"bytes"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
)

const (
	redacted     = "[redacted]"
	keepResponse = 16 << 10 // bytes of a response that are kept
	skipResponse = 64 << 10 // bytes that are read beyond, to use the connection again
	keepHeaders  = 64       // response headers that are kept
	keepHeader   = 1 << 10  // bytes of each value
	keepName     = 256      // headers with longer names are left out

	// leastSecret is how long a text must be to be taken for a secret: a shorter
	// one would be found everywhere, and guessed.
	leastSecret = 6
)

// secrets are texts that must not get into the log: a receiver that shows what it
// was sent, or how it is configured, would write its own token there for
// everybody who may read events.
type secrets struct {
	texts             []string
	shortest, longest int
}

// secretsOf lists what a receiver of s knows: the header's value, or what follows
// its scheme ("Bearer …"), and signing secrets, which error pages that list a
// program's environment show.
func secretsOf(s Settings) *secrets {
	list := &secrets{}
	list.add(s.HeaderValue)
	if _, token, ok := strings.Cut(s.HeaderValue, " "); ok {
		list.add(strings.TrimSpace(token))
	}
	for _, secret := range s.Secrets {
		if _, key, ok := strings.Cut(secret, "_"); ok { // behind "whsec_"
			secret = key
		}
		list.add(secret)
	}
	return list
}

// with returns the list with one more, such as a token that was fetched.
func (s *secrets) with(secret string) *secrets {
	more := &secrets{slices.Clone(s.texts), s.shortest, s.longest}
	more.add(secret)
	return more
}

// hiding keeps the secrets of each Environment's settings: their forms are the
// same from try to try.
type hiding struct {
	mu    sync.Mutex
	known map[string]hidden
}

type hidden struct {
	header  string
	signing []string
	list    *secrets
}

// mostHidden bounds how many Environments are kept.
const mostHidden = 4096

func (h *hiding) of(environment string, s Settings) *secrets {
	h.mu.Lock()
	defer h.mu.Unlock()
	if have, ok := h.known[environment]; ok && have.header == s.HeaderValue && slices.Equal(have.signing, s.Secrets) {
		return have.list
	}
	if h.known == nil || len(h.known) >= mostHidden {
		h.known = make(map[string]hidden)
	}
	list := secretsOf(s)
	h.known[environment] = hidden{s.HeaderValue, slices.Clone(s.Secrets), list}
	return list
}

// add takes a text in, and the forms that it has in JSON, HTML and URLs.
func (s *secrets) add(text string) {
	if len(text) < leastSecret {
		return
	}
	s.put(text)
	if !strings.ContainsFunc(text, special) {
		return
	}
	s.put(html.EscapeString(text))
	s.put(url.QueryEscape(text))
	s.put(url.PathEscape(text))
	for _, escape := range []bool{true, false} {
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(escape)
		if enc.Encode(text) == nil { //nolint:errchkjson // a text cannot fail
			quoted := strings.TrimSpace(b.String())
			s.put(quoted[1 : len(quoted)-1])
			s.put(strings.ReplaceAll(quoted[1:len(quoted)-1], "/", `\/`)) // as PHP writes it
		}
	}
}

// special reports whether a character may be written in another way.
func special(r rune) bool {
	return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && r != '_' && r != '-' && r != '.'
}

func (s *secrets) put(form string) {
	if slices.Contains(s.texts, form) {
		return
	}
	if len(s.texts) == 0 || len(form) < s.shortest {
		s.shortest = len(form)
	}
	s.texts = append(s.texts, form)
	s.longest = max(s.longest, len(form))
}

// find returns the first secret in text: where it begins and ends; of several
// that begin there the longest. -1: there is none.
func (s *secrets) find(text string) (begin, end int) {
	begin = -1
	if len(text) < s.shortest {
		return begin, 0
	}
	for _, form := range s.texts {
		at := strings.Index(text, form)
		if at >= 0 && (begin < 0 || at < begin || at == begin && at+len(form) > end) {
			begin, end = at, at+len(form)
		}
	}
	return begin, end
}

// redact returns the first limit bytes of text without secrets. One that begins
// there and ends behind is cut out as well, so text must hold s.longest bytes
// more than limit if there are so many.
func (s *secrets) redact(text string, limit int) string {
	begin, end := s.find(text)
	if begin < 0 || begin >= limit {
		return text[:min(limit, len(text))]
	}
	var b strings.Builder
	for begin >= 0 && begin < limit {
		b.WriteString(text[:begin])
		b.WriteString(redacted)
		text, limit = text[end:], limit-end
		begin, end = s.find(text)
	}
	if limit > 0 {
		b.WriteString(text[:min(limit, len(text))])
	}
	return b.String()
}

// excerptBody reads the beginning of a response, and enough of the rest for the
// connection to be used again. What goes wrong on the way ends it: a status is an
// answer, whatever follows it.
func (s *secrets) excerptBody(body io.Reader) []byte {
	text, _ := io.ReadAll(io.LimitReader(body, int64(keepResponse+s.longest)))
	_, _ = io.CopyN(io.Discard, body, skipResponse)
	if len(s.texts) == 0 || len(text) < s.shortest {
		return text[:min(keepResponse, len(text))]
	}
	kept := s.redact(string(text), keepResponse)
	return []byte(kept[:min(keepResponse, len(kept))])
}

// excerptHeader keeps response headers within bounds, without cookies and secrets.
func (s *secrets) excerptHeader(h http.Header) http.Header {
	kept := make(http.Header, min(len(h), keepHeaders))
	for name, values := range h {
		if len(kept) == keepHeaders {
			break
		}
		if len(name) > keepName || s.inName(name) {
			continue
		}
		if name == "Set-Cookie" || name == "Set-Cookie2" {
			kept[name] = []string{redacted}
			continue
		}
		if len(values) > 4 {
			values = values[:4]
		}
		cut := values
		for i, v := range values {
			short := s.redact(v, keepHeader)
			if len(v) > keepHeader {
				short = strings.ToValidUTF8(short, "") + "…"
			}
			if short == v {
				continue
			}
			if &cut[0] == &values[0] {
				cut = append([]string(nil), values...)
			}
			cut[i] = short
		}
		kept[name] = cut
	}
	return kept
}

// inName reports whether a header's name holds a secret. Names come in a form of
// their own ("x-token" as "X-Token").
func (s *secrets) inName(name string) bool {
	for _, form := range s.texts {
		if len(form) <= len(name) && strings.Contains(strings.ToLower(name), strings.ToLower(form)) {
			return true
		}
	}
	return false
}
