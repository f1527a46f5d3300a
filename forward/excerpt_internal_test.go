package forward

import (
	"strings"
	"testing"
)

func FuzzRedact(f *testing.F) {
	f.Add("you sent Bearer abc/def<>&", "Bearer abc/def<>&", 16)
	f.Add("aaaaaaaaaaaaaaaaaaaaaaa", "aaaaaaa", 9)
	f.Add("the secret is [redacted] or redacted", "redacted", 30)
	f.Add("", "secret", 0)
	f.Fuzz(func(t *testing.T, text, secret string, limit int) {
		limit = min(max(limit, 0), 1<<16)
		if len(secret) < leastSecret {
			return // too short for a secret
		}
		s := secretsOf(Settings{HeaderValue: secret})
		got := s.redact(text, limit)
		for piece := range strings.SplitSeq(got, redacted) { // what stands in place of a secret could be part of one
			if strings.Contains(piece, secret) {
				t.Errorf("%q is in %q", secret, got)
			}
		}
		if !strings.Contains(got, redacted) && !strings.HasPrefix(text, got) {
			t.Errorf("%q became %q", text, got)
		}
		if n := strings.Count(got, redacted); len(got) > limit+n*len(redacted) {
			t.Errorf("%d bytes with %d secrets cut out, limit %d", len(got), n, limit)
		}
	})
}

func TestShortTextsAreNoSecrets(t *testing.T) {
	t.Parallel()
	if s := secretsOf(Settings{HeaderValue: "1"}); s.redact("1 of 1", 10) != "1 of 1" {
		t.Error("every 1 is taken for a secret")
	}
	if s := secretsOf(Settings{}).with("fetched-token"); s.redact("a fetched-token", 100) != "a [redacted]" {
		t.Error("a token that was fetched is shown")
	}
}
