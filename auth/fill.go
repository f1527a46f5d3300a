package auth

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strings"

	"github.com/interactorhq/interactor/connector"
)

var (
	hostPart     = regexp.MustCompile(`\A[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?\z`)
	hostAndPort  = regexp.MustCompile(`\A[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?\z`)
	errMalformed = errors.New("is no URL")
)

// fillURL fills a template that is a URL. Each value is escaped for the place
// where it stands, so that it cannot leave it: what an end user enters changes
// neither the provider's domain nor the path or query around it. A value may
// also be the whole beginning of the URL ("{instance_url}/services"); it must
// then be https, or http where it is loopback or the App's owner chose it.
func fillURL(t connector.Template, values ...map[string]string) (*url.URL, error) {
	var first error
	for alternative := range strings.SplitSeq(string(t), "|") {
		u, err := fillOneURL(alternative, values)
		if err == nil {
			return u, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, fmt.Errorf("auth: address %q %w", string(t), first)
}

func fillOneURL(text string, values []map[string]string) (*url.URL, error) {
	var b strings.Builder
	for text != "" {
		literal, after, open := strings.Cut(text, "{")
		b.WriteString(literal)
		if !open {
			break
		}
		name, rest, closed := strings.Cut(after, "}")
		if !closed {
			return nil, errMalformed
		}
		v, ok := look(name, values)
		if !ok {
			return nil, fmt.Errorf("has no value for {%s}", name)
		}
		v, err := escapeFor(b.String(), name, v)
		if err != nil {
			return nil, err
		}
		b.WriteString(v)
		text = rest
	}
	u, err := url.Parse(b.String())
	switch {
	case err != nil, u.Scheme != "https" && u.Scheme != "http", u.Hostname() == "", u.Opaque != "":
		return nil, errMalformed
	case u.User != nil:
		return nil, errors.New("holds a user name")
	}
	return u, nil
}

// escapeFor makes value fit for its place behind what stands before it.
func escapeFor(before, name, value string) (string, error) {
	_, authority, hasHost := strings.Cut(before, "://")
	switch {
	case before == "":
		return base(name, value)
	case !hasHost:
		return "", errMalformed
	case strings.ContainsRune(authority, '#'):
		return "", fmt.Errorf("has {%s} in its fragment", name)
	case strings.ContainsRune(authority, '?'):
		return url.QueryEscape(value), nil
	case strings.ContainsRune(authority, '/'):
		if value == "." || value == ".." {
			return "", fmt.Errorf("takes no dots for {%s}", name)
		}
		return url.PathEscape(value), nil
	}
	allowed := hostPart
	if strings.HasPrefix(name, "app.") {
		allowed = hostAndPort // the App's owner knows where the product runs
	}
	if !allowed.MatchString(value) || strings.Contains(value, "..") {
		return "", fmt.Errorf("takes for {%s} only letters, digits, full stops and hyphens: it is part of a host", name)
	}
	return value, nil
}

// base checks a value that is the beginning of a URL.
func base(name, value string) (string, error) {
	u, err := url.Parse(value)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Opaque != "" ||
		strings.ContainsAny(value, "?#\\") || !hostOrAddress(u.Host) {
		return "", fmt.Errorf("needs for {%s} an address such as https://example.com", name)
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname()) && !strings.HasPrefix(name, "app.")) {
		return "", fmt.Errorf("needs https:// for {%s}", name)
	}
	return strings.TrimRight(value, "/"), nil
}

func hostOrAddress(host string) bool {
	if hostAndPort.MatchString(host) {
		return true
	}
	if _, err := netip.ParseAddrPort(host); err == nil {
		return true
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil
}

func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// origin returns scheme, host and port of a URL in their one spelling.
func origin(u *url.URL) string {
	scheme, port := strings.ToLower(u.Scheme), u.Port()
	if port == "" {
		switch scheme {
		case "https":
			port = "443"
		case "http":
			port = "80"
		}
	}
	return scheme + "://" + net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

func look(name string, values []map[string]string) (string, bool) {
	for _, m := range values {
		if v := m[name]; v != "" {
			return v, true
		}
	}
	return "", false
}
