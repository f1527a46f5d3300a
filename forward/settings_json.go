package forward

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/interactorhq/interactor/trigger"
)

var (
	_ json.Marshaler   = Settings{}
	_ json.Unmarshaler = (*Settings)(nil)
)

// MarshalJSON returns the form that the JSON API answers with: without
// HeaderValue, ClientKey, OAuth2.ClientSecret and Secrets.
func (s Settings) MarshalJSON() ([]byte, error) {
	out := struct {
		URL         string           `json:"url"`
		HeaderKey   string           `json:"header_key,omitempty"`
		Certificate string           `json:"client_certificate,omitempty"`
		OAuth2      *OAuth2          `json:"oauth2,omitempty"`
		Triggers    []trigger.Filter `json:"triggers"`
		Raw         bool             `json:"raw"`
		Retry       []string         `json:"retry,omitempty"`
		Timeout     string           `json:"timeout,omitempty"`

		RateLimit   float64 `json:"rate_limit,omitempty"`
		Concurrency int     `json:"concurrency,omitempty"`
		Ordered     bool    `json:"ordered,omitempty"`
		PauseAfter  string  `json:"pause_after,omitempty"`
	}{URL: s.URL, HeaderKey: s.HeaderKey, Certificate: s.ClientCertificate, OAuth2: s.OAuth2, Triggers: s.Triggers, Raw: s.Raw}
	out.RateLimit, out.Concurrency, out.Ordered = s.RateLimit, s.Concurrency, s.Ordered
	if out.Triggers == nil {
		out.Triggers = []trigger.Filter{}
	}
	for _, wait := range s.Retry {
		out.Retry = append(out.Retry, brief(wait))
	}
	if s.Timeout != 0 {
		out.Timeout = brief(s.Timeout)
	}
	switch {
	case s.PauseAfter < 0:
		out.PauseAfter = textNever
	case s.PauseAfter > 0:
		out.PauseAfter = brief(s.PauseAfter)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(out); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// UnmarshalJSON reads the form that the JSON API and config files take, durations
// as "15s": url, header_key, header_value, client_certificate, client_key, oauth2,
// triggers, secrets, raw, retry, timeout, rate_limit, concurrency, ordered and
// pause_after (or "never"). A member that it does not know is an error. What is absent is zero
// afterwards.
func (s *Settings) UnmarshalJSON(b []byte) error {
	if bytes.Equal(bytes.TrimSpace(b), []byte("null")) {
		return nil // the convention of encoding/json
	}
	// By exact names: decoding into a struct would also take "URL" and "Header_Key".
	var members map[string]json.RawMessage
	if err := json.Unmarshal(b, &members); err != nil {
		return errors.New("forwarding settings must be an object, such as {\"url\":\"https://…\",\"triggers\":[\"gmail.*\"]}")
	}
	var read Settings
	var p Problems
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if err := read.member(name, members[name]); err != nil {
			p.add(name, "%w", err)
		}
	}
	if err := p.err(); err != nil {
		return err
	}
	*s = read
	return nil
}

func (s *Settings) member(name string, value []byte) error {
	text := func(to *string) error {
		if json.Unmarshal(value, to) != nil {
			return errors.New("must be a text")
		}
		return nil
	}
	switch name {
	case "url":
		return text(&s.URL)
	case "header_key":
		return text(&s.HeaderKey)
	case "header_value":
		return text(&s.HeaderValue)
	case "client_certificate":
		return text(&s.ClientCertificate)
	case "client_key":
		return text(&s.ClientKey)
	case "oauth2":
		return json.Unmarshal(value, &s.OAuth2)
	case "triggers":
		return json.Unmarshal(value, &s.Triggers)
	case "secrets":
		if json.Unmarshal(value, &s.Secrets) != nil { // its error could quote one
			return errors.New("must be a list of texts")
		}
		return nil
	case "raw":
		return flag(value, &s.Raw)
	case "ordered":
		return flag(value, &s.Ordered)
	case "rate_limit":
		if json.Unmarshal(value, &s.RateLimit) != nil {
			return errors.New("must be a number of events per second, such as 50")
		}
		return nil
	case "concurrency":
		if json.Unmarshal(value, &s.Concurrency) != nil {
			return errors.New("must be a whole number, such as 4")
		}
		return nil
	case "pause_after":
		var wait string
		if json.Unmarshal(value, &wait) != nil {
			return errors.New(`must be a duration, such as "120h", or "never"`)
		}
		if wait == textNever {
			s.PauseAfter = never
			return nil
		}
		return duration(wait, &s.PauseAfter)
	case "retry":
		var waits []string
		if json.Unmarshal(value, &waits) != nil {
			return errors.New(`must be a list of durations, such as ["5s","5m","30m"]`)
		}
		for _, wait := range waits {
			d, err := parseDuration(wait)
			if err != nil {
				return err
			}
			s.Retry = append(s.Retry, d)
		}
		return nil
	case "timeout":
		var wait string
		if json.Unmarshal(value, &wait) != nil {
			return errors.New(`must be a duration, such as "15s"`)
		}
		return duration(wait, &s.Timeout)
	}
	return errors.New("is unknown: there are url, header_key, header_value, client_certificate, client_key, oauth2, triggers, secrets, raw, retry, timeout, " +
		"rate_limit, concurrency, ordered and pause_after")
}

// textNever is a duration that is never over.
const textNever = "never"

func flag(value []byte, to *bool) error {
	if json.Unmarshal(value, to) != nil {
		return errors.New("must be true or false")
	}
	return nil
}

// duration reads one that may be left out.
func duration(text string, to *time.Duration) (err error) {
	if text != "" {
		*to, err = parseDuration(text)
	}
	return err
}

func parseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%.40q is no duration: write it like \"5s\", \"30m\" or \"24h\"", s)
	}
	return d, nil
}

// brief writes 5m0s as 5m and 2h0m0s as 2h.
func brief(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}
