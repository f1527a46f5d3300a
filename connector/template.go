package connector

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// A Template is text with {placeholders}: {name} is a Connection value (a
// Field, or something kept from callback and token answer), {app.name} a field
// of the App. Requests also know {token}, {refresh_token}, {code}, {redirect_uri},
// {code_verifier}; a Watch's Resource knows {identity}, {topic} and its Triggers' Params.
// A placeholder without a value is an error, not an empty string.
//
// Alternatives are separated by "|": the first one whose placeholders all have
// values counts. "repos/{repo}|user" is the repository's watch where a repo is
// named, else the user's.
//
// Where the text is a URL, what is filled into its host must look like a part
// of a host: a value cannot add a path, a port, a user or another host.
type Template string

var (
	placeholderName = regexp.MustCompile(`\A[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?\z`)
	hostPart        = regexp.MustCompile(`\A[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?\z`)
)

// Fill replaces the placeholders; of several maps the first one that has a name
// wins, and an empty value counts as none. Its error names what is missing.
func (t Template) Fill(values ...map[string]string) (string, error) {
	var first error
	for alternative := range strings.SplitSeq(string(t), "|") {
		filled, err := fill(alternative, values)
		if err == nil {
			return filled, nil
		}
		if first == nil {
			first = err
		}
	}
	return "", fmt.Errorf("connector: template %q %w", string(t), first)
}

// Names returns the names of all placeholders, each once, in order. Text that
// Check refuses has none.
func (t Template) Names() []string {
	var names []string
	for alternative := range strings.SplitSeq(string(t), "|") {
		parts, err := parse(alternative)
		if err != nil {
			return nil
		}
		for _, p := range parts {
			if p.name != "" && !slices.Contains(names, p.name) {
				names = append(names, p.name)
			}
		}
	}
	return names
}

// Check reports whether the text is well formed: braces in pairs, each around
// a name of small letters, digits and _, at most one full stop in between.
func (t Template) Check() error {
	for alternative := range strings.SplitSeq(string(t), "|") {
		if _, err := parse(alternative); err != nil {
			return fmt.Errorf("connector: template %q %w", string(t), err)
		}
	}
	return nil
}

// part is literal text or a placeholder.
type part struct {
	text, name string
	host       bool // the placeholder stands in the host of a URL
}

func parse(s string) ([]part, error) {
	var parts []part
	before := ""
	for s != "" {
		text, after, open := strings.Cut(s, "{")
		if strings.Contains(text, "}") {
			return nil, fmt.Errorf("has a } without {")
		}
		if text != "" {
			parts = append(parts, part{text: text})
		}
		if !open {
			break
		}
		name, rest, closed := strings.Cut(after, "}")
		if !closed {
			return nil, fmt.Errorf("has an unclosed placeholder {%s", name)
		}
		if !placeholderName.MatchString(name) {
			return nil, fmt.Errorf("has the placeholder {%s}: write a name of small letters, digits and _, such as {shop} or {app.url}", name)
		}
		before += text
		parts = append(parts, part{name: name, host: inHost(before)})
		before += "x" // stands for the value
		s = rest
	}
	return parts, nil
}

// inHost reports whether what follows before belongs to the host of a URL.
func inHost(before string) bool {
	_, authority, isURL := strings.Cut(before, "://")
	return isURL && !strings.ContainsAny(authority, "/?#")
}

func fill(alternative string, values []map[string]string) (string, error) {
	parts, err := parse(alternative)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, p := range parts {
		if p.name == "" {
			b.WriteString(p.text)
			continue
		}
		v, ok := look(p.name, values)
		if !ok {
			return "", fmt.Errorf("has no value for {%s}", p.name)
		}
		if p.host && !hostPart.MatchString(v) {
			return "", fmt.Errorf("takes for {%s} only letters, digits, full stops and hyphens: it is part of a host", p.name)
		}
		b.WriteString(v)
	}
	return b.String(), nil
}

func look(name string, values []map[string]string) (string, bool) {
	for _, m := range values {
		if v := m[name]; v != "" {
			return v, true
		}
	}
	return "", false
}

// hostNames returns the placeholders that decide about the host of a URL
// template's alternative, and the literal text that ends the host ("" if a
// placeholder ends it).
func hostNames(alternative string) (names []string, ending string, err error) {
	parts, err := parse(alternative)
	if err != nil {
		return nil, "", err
	}
	if len(parts) > 0 && parts[0].name != "" { // the whole origin is a value
		return []string{parts[0].name}, "", nil
	}
	var probe strings.Builder
	for _, p := range parts {
		if p.name != "" {
			probe.WriteByte(0) // as no host has it, so that it can be told from text
			if p.host {
				names = append(names, p.name)
			}
			continue
		}
		probe.WriteString(p.text)
	}
	scheme, rest, ok := strings.Cut(probe.String(), "://")
	if !ok || scheme != "https" && scheme != "http" {
		return nil, "", fmt.Errorf("is no URL: write https://… or begin with a placeholder that holds one")
	}
	host, _, _ := strings.Cut(rest, "/")
	host, _, _ = strings.Cut(host, "?")
	host, _, _ = strings.Cut(host, "#")
	if len(names) == 0 {
		if u, err := url.Parse(scheme + "://" + host); err != nil || u.Hostname() == "" || u.User != nil {
			return nil, "", fmt.Errorf("is no URL with a host")
		}
	}
	return names, host[strings.LastIndexByte(host, 0)+1:], nil
}
