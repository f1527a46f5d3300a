package connector_test

import (
	"strings"
	"testing"

	"github.com/interactorhq/interactor/connector"
)

func TestTemplateFill(t *testing.T) {
	t.Parallel()
	values := map[string]string{"shop": "acme", "app.url": "http://127.0.0.1:3000", "repo": "o/r", "empty": "", "evil": "x.example/"}
	for _, c := range []struct {
		name     string
		template connector.Template
		want     string
		err      string
	}{
		{"nothing to fill", "https://x.example", "https://x.example", ""},
		{"empty", "", "", ""},
		{"host", "https://{shop}.example.com/a", "https://acme.example.com/a", ""},
		{"whole origin", "{app.url}/login", "http://127.0.0.1:3000/login", ""},
		{"resource", "repos/{repo}", "repos/o/r", ""},
		{"first alternative", "repos/{repo}|user", "repos/o/r", ""},
		{"second alternative", "repos/{nothing}|user", "user", ""},
		{"no alternative", "a/{nothing}|b/{none}", "", "no value for {nothing}"},
		{"missing", "a/{nothing}", "", "no value for {nothing}"},
		{"empty value", "a/{empty}", "", "no value for {empty}"},
		{"host with a path in it", "https://{evil}.example.com/", "", "part of a host"},
		{"the same in a path", "https://x.example/{evil}", "https://x.example/x.example/", ""},
		{"unclosed", "a/{repo", "", "unclosed"},
		{"unopened", "a/repo}", "", "without {"},
		{"nested", "a/{re{po}}", "", "write a name"},
		{"no name", "a/{}", "", "write a name"},
		{"capitals", "a/{Repo}", "", "write a name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := c.template.Fill(nil, values)
			if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("got %q, %v; want %q, %q", got, err, c.want, c.err)
			}
		})
	}
}

func TestTemplateHostCannotBeLeft(t *testing.T) {
	t.Parallel()
	for _, evil := range []string{
		"evil.example/", "evil.example?", "evil.example#", "me@evil.example/", `evil.example\`, "evil.example:1", "a b", "a\nb",
		"", "-a", "a-", ".", "evil.example%2f", "evil。example/", "[::1]",
	} {
		if got, err := connector.Template("https://{shop}.example.com/x").Fill(map[string]string{"shop": evil}); err == nil {
			t.Errorf("%q gave %q", evil, got)
		}
	}
}

func TestTemplateNames(t *testing.T) {
	t.Parallel()
	got := strings.Join(connector.Template("{a}/{b}/{a}|{c}").Names(), " ")
	if got != "a b c" {
		t.Errorf("got %q", got)
	}
	if names := connector.Template("{a").Names(); names != nil {
		t.Errorf("malformed text has the names %v", names)
	}
}

func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"", "a", "{a}", "{a", "a}", "https://{a}.b.example/{c}|{d}", "{{a}}", "|", "{app.url}"} {
		f.Add(s, "v")
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		template := connector.Template(text)
		values := make(map[string]string)
		for _, name := range template.Names() {
			values[name] = value
		}
		filled, err := template.Fill(values)
		if template.Check() != nil && err == nil && !strings.Contains(text, "|") {
			t.Errorf("%q is malformed and was filled in: %q", text, filled)
		}
		if len(template.Names()) > 0 && !strings.Contains(text, "|") {
			if _, err := template.Fill(); err == nil {
				t.Errorf("%q was filled in without values", text)
			}
		}
	})
}

func FuzzNewKey(f *testing.F) {
	f.Add("k", "a", "b", "k", "ab", "")
	f.Add(`k"`, `"`, ``, `k`, `""`, ``)
	f.Fuzz(func(t *testing.T, k1, a1, b1, k2, a2, b2 string) {
		same := k1 == k2 && a1 == a2 && b1 == b2
		if (connector.NewKey(k1, a1, b1) == connector.NewKey(k2, a2, b2)) != same {
			t.Errorf("%q %q %q and %q %q %q: keys and parts disagree", k1, a1, b1, k2, a2, b2)
		}
	})
}
