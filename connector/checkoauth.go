package connector

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// known returns whether a placeholder can have a value: an App's field, a
// Connection value (where there can be one already) or one of more.
func (k *checker) known(connection bool, more ...string) func(string) bool {
	return func(name string) bool {
		if field, ok := strings.CutPrefix(name, "app."); ok {
			return field == fieldClientID || field == fieldClientSecret || hasField(k.AppFields, field)
		}
		if slices.Contains(more, name) || hasField(k.Fields, name) {
			return true
		}
		if !connection {
			return false
		}
		return k.kept(name) || k.fromCallback(name) || k.Granter != nil
	}
}

func (k *checker) kept(name string) bool {
	if k.OAuth == nil {
		return false
	}
	_, ok := k.OAuth.Answer.Keep[name]
	return ok
}

func (k *checker) fromCallback(name string) bool {
	if k.OAuth == nil {
		return false
	}
	_, ok := k.OAuth.Callback[name]
	return ok
}

func hasField(fields []Field, name string) bool {
	return slices.ContainsFunc(fields, func(f Field) bool { return f.Name == name })
}

// template checks syntax and names.
func (k *checker) template(at string, t Template, known func(string) bool) {
	if err := t.Check(); err != nil {
		k.add(at, "is malformed: %w", err)
		return
	}
	for _, name := range t.Names() {
		if !known(name) {
			k.add(at, "has the placeholder {%s}, which nothing fills in: declare it among Fields, AppFields ({app.…}), OAuth.Callback or OAuth.Answer.Keep", name)
		}
	}
}

// url checks an address. guarded: the App's secret or a user's token goes
// there, so an end user must not be able to choose the host.
func (k *checker) url(at string, t Template, guarded bool) {
	if t == "" {
		k.add(at, "is empty: put an address there, https://…")
		return
	}
	if err := t.Check(); err != nil {
		k.add(at, "is malformed: %w", err)
		return
	}
	k.template(at, t, k.known(true))
	for alternative := range strings.SplitSeq(string(t), "|") {
		names, ending, err := hostNames(alternative)
		if err != nil {
			k.add(at, "%q %w", alternative, err)
			continue
		}
		for _, name := range names {
			if guarded && k.chosenByUser(name) && !ownDomain(ending) {
				k.add(at, "lets an end user choose the host with {%s}, and secrets go there: end the host in the provider's own domain, such as {%s}.example.com, give the Field Options, or make it a field of the App, {app.%s}", name, name, name)
			}
		}
	}
}

// chosenByUser reports whether who consents can set the value to anything: it
// is typed in, or comes from the callback through the browser.
func (k *checker) chosenByUser(name string) bool {
	if k.fromCallback(name) {
		return true
	}
	return slices.ContainsFunc(k.Fields, func(f Field) bool { return f.Name == name && len(f.Options) == 0 })
}

// ownDomain reports whether the end of a host is a registrable domain with a
// full stop before it: ".example.com", not "example.com" (to which "my" would
// make "myexample.com") and not ".com".
func ownDomain(ending string) bool {
	host, _, _ := strings.Cut(ending, ":")
	domain, dotted := strings.CutPrefix(host, ".")
	return dotted && strings.Contains(strings.Trim(domain, "."), ".") && !strings.Contains(domain, "..")
}

func (k *checker) oauth() {
	o := k.OAuth
	if o == nil {
		return
	}
	before := k.known(false, "redirect_uri")
	k.url("OAuth.Authorize", o.Authorize, true)
	for _, name := range o.Authorize.Names() {
		if !before(name) {
			k.add("OAuth.Authorize", "has the placeholder {%s}, which is not known before consent: use a Field or {app.…}", name)
		}
	}
	for name, t := range o.Params {
		k.template(fmt.Sprintf("OAuth.Params[%q]", name), t, before)
	}
	for i, s := range o.Scopes {
		if s == "" || strings.ContainsAny(s, " \t\n") {
			k.add(fmt.Sprintf("OAuth.Scopes[%d]", i), "is %q: put one scope there", s)
		}
	}
	if k.Granter == nil || o.Token.URL != "" {
		k.request("OAuth.Token", o.Token, "code", "redirect_uri", "code_verifier", "refresh_token")
	}
	if o.Refresh != nil {
		k.request("OAuth.Refresh", *o.Refresh, "token", "refresh_token")
	}
	if o.Revoke != nil {
		k.request("OAuth.Revoke", *o.Revoke, "token", "refresh_token")
	}
	for value, param := range o.Callback {
		if !valueName.MatchString(value) || given(value) || param == "" {
			k.add("OAuth.Callback", "maps %q to %q: put a name of small letters, digits and _ and the callback's parameter there", value, param)
		}
		if param == "code" || param == "state" || param == "error" {
			k.add("OAuth.Callback", "keeps the parameter %q: remove it, it is the engine's", param)
		}
	}
	for value, path := range o.Answer.Keep {
		if !valueName.MatchString(value) || given(value) || path == "" {
			k.add("OAuth.Answer.Keep", "maps %q to %q: put a name of small letters, digits and _ and a path in the token answer there", value, path)
		}
		if hasField(k.Fields, value) && hasSecret(k.Fields, value) {
			k.add("OAuth.Answer.Keep", "would overwrite the secret Field %q: choose another name", value)
		}
	}
	if o.Answer.Lifetime < 0 || o.Idle < 0 {
		k.add("OAuth", "has a negative Answer.Lifetime or Idle: put 0 or more there")
	}
}

func hasSecret(fields []Field, name string) bool {
	return slices.ContainsFunc(fields, func(f Field) bool { return f.Name == name && f.Secret })
}

func (k *checker) request(at string, r Request, more ...string) {
	k.url(at+".URL", r.URL, true)
	switch r.Method {
	case "", http.MethodPost, http.MethodGet, http.MethodPut, http.MethodPatch, http.MethodDelete:
	default:
		k.add(at+".Method", "is %q: put an HTTP method there", r.Method)
	}
	if r.Encoding < Form || r.Encoding > Query {
		k.add(at+".Encoding", "is unknown: use Form, JSON or Query")
	}
	if r.Auth < InBody || r.Auth > NoAuth {
		k.add(at+".Auth", "is unknown: use InBody, Basic, Bearer or NoAuth")
	}
	for name, t := range r.Params {
		k.template(fmt.Sprintf("%s.Params[%q]", at, name), t, k.known(true, more...))
	}
	for name, t := range r.Header {
		k.template(fmt.Sprintf("%s.Header[%q]", at, name), t, k.known(true, more...))
	}
}
