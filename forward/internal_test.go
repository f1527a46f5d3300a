package forward

import (
	"strings"
	"testing"
	"time"
)

func TestParsePath(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		prefix, path        string
		connector, endpoint string
		ok                  bool
	}{
		{"", "/webhooks/gmail", "gmail", "", true},
		{"", "/webhooks/gmail/sub_01", "gmail", "sub_01", true},
		{"/in", "/in/webhooks/gmail", "gmail", "", true},
		{"/in", "/webhooks/gmail", "", "", false},
		{"", "/webhooks/", "", "", false},
		{"", "/webhooks", "", "", false},
		{"", "/webhooks/gmail/", "", "", false},
		{"", "/webhooks/gmail/a/b", "", "", false},
		{"", "/webhooks/g%6Dail", "", "", false},
		{"", "/webhooks/gmail/..", "", "", false},
		{"", "//webhooks/gmail", "", "", false},
		{"", "/webhooks/" + strings.Repeat("x", 129), "", "", false},
	} {
		connector, endpoint, ok := parsePath(row.prefix, row.path)
		if ok != row.ok || connector != row.connector || endpoint != row.endpoint {
			t.Errorf("parsePath(%q, %q) = %q, %q, %v", row.prefix, row.path, connector, endpoint, ok)
		}
	}
}

func FuzzParsePath(f *testing.F) {
	f.Add("", "/webhooks/gmail")
	f.Add("/a/b", "/a/b/webhooks/gmail/sub_01KATF3V5C8Q2M7XN4R0ZJ6H9D")
	f.Add("", "/webhooks/%2e%2e/x")
	f.Fuzz(func(t *testing.T, prefix, path string) {
		connector, endpoint, ok := parsePath(prefix, path)
		if !ok {
			return
		}
		want := prefix + "/webhooks/" + connector
		if endpoint != "" {
			want += "/" + endpoint
		}
		if want != path || !plain(connector) {
			t.Errorf("%q gave %q and %q", path, connector, endpoint)
		}
	})
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"", "0", "120", "-1", "1.5", "99999999999999999999", "Sat, 01 Jan 2000 00:00:10 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "soon", "1 "} {
		f.Add(s)
	}
	now := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, value string) {
		d := parseRetryAfter(value, now)
		if d < 0 {
			t.Errorf("%q is a negative wait: %s", value, d)
		}
		wait, last := Settings{}.wait(0, d, 24*time.Hour)
		if last || wait < min(d, 24*time.Hour) || wait > 27*time.Hour {
			t.Errorf("%q (%s) makes a wait of %s", value, d, wait)
		}
	})
}

func TestRetryAfterForms(t *testing.T) {
	t.Parallel()
	now := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "0": 0, "7": 7 * time.Second, " 7 ": 7 * time.Second, "-7": 0, "+7": 0, "7s": 0, "0x7": 0,
		"Sat, 01 Jan 2000 00:00:10 GMT":    10 * time.Second,
		"Saturday, 01-Jan-00 00:00:10 GMT": 10 * time.Second,
		"Sat Jan  1 00:00:10 2000":         10 * time.Second,
		"Fri, 31 Dec 1999 23:59:59 GMT":    0,
	} {
		if got := parseRetryAfter(value, now); got != want {
			t.Errorf("%q: %s, want %s", value, got, want)
		}
	}
}

func TestBackoffIsBounded(t *testing.T) {
	t.Parallel()
	for _, n := range []int{-1, 0, 1, 2, 9, 10, 11, 1000, 1 << 62} {
		if d := backoff(n); d < 4*time.Second || d > 72*time.Minute {
			t.Errorf("backoff(%d) = %s", n, d)
		}
	}
}

// Lanes take turns, and what they hold is let go.
func TestPoolTakesTurns(t *testing.T) {
	t.Parallel()
	p := &pool{limit: 1000, now: time.Now}
	var names []string
	for _, name := range []string{"a", "b", "c"} {
		l := &lane{name: name}
		l.gate = &gate{main: l, pool: p}
		l.gate.apply(shape{}, 1000, time.Now())
		l.gate.window.size = 1000
		for range 100 {
			l.push(Task{Lane: name})
		}
		p.enter(l.gate)
	}
	for {
		l, task, ok := p.take()
		if !ok {
			break
		}
		if task.Lane != l.name {
			t.Fatalf("%s gave a task of %s", l.name, task.Lane)
		}
		names = append(names, l.name)
	}
	if got := strings.Join(names, ""); got != strings.Repeat("abc", 100) {
		t.Errorf("took %s", got)
	}
}
