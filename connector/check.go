package connector

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

var (
	connectorName = regexp.MustCompile(`\A[a-z][a-z0-9]*([_-][a-z0-9]+)*\z`)
	valueName     = regexp.MustCompile(`\A[a-z][a-z0-9_]*\z`)
)

// reserved names begin the names of life-cycle news ("connection.expired") or
// stand where a connector's name stands in a path.
func reserved(name string) bool {
	return slices.Contains([]string{"interactor", "connection", "delivery", "destination", "subscription", "inbound"}, name)
}

// given are the placeholders that the engine fills in.
func given(name string) bool {
	return slices.Contains([]string{"token", "refresh_token", "code", "redirect_uri", "code_verifier", "identity", "topic"}, name)
}

// checker collects what is wrong with one connector.
type checker struct {
	*Entry
	derived schemas
	errs    []error
}

// check reports every disagreement within a connector.
func check(c Connector, e *Entry, derived schemas) []error {
	k := &checker{Entry: e, derived: derived}
	k.identity(c)
	k.fields()
	k.oauth()
	k.use()
	k.capabilities()
	k.watches()
	k.triggers()
	k.defaultApp()
	return k.errs
}

// add reports a disagreement: field is where, the rest what to put there.
func (k *checker) add(field, format string, args ...any) {
	name := k.Name
	if name == "" {
		name = "without a name"
	}
	k.errs = append(k.errs, fmt.Errorf("connector %s: %s %w", name, field, fmt.Errorf(format, args...)))
}

func (k *checker) identity(c Connector) {
	switch {
	case k.Name == "":
		k.add("Name", "is missing: put the product's name there, in small letters")
	case !connectorName.MatchString(k.Name) || len(k.Name) > 40:
		k.add("Name", "must be small letters, digits, single _ and -, beginning with a letter, at most 40: it goes into URLs")
	case reserved(k.Name):
		k.add("Name", "is reserved: choose another one")
	}
	if k.Label == "" {
		k.add("Label", "is missing: put the product's name for people there")
	}
	if !reflect.DeepEqual(k.Description, c.Describe()) {
		k.add("Describe", "returned two different values: it must return the same one each time")
	}
	if s := k.Accepted.Status; s != 0 && (s < 200 || s > 299) {
		k.add("Accepted.Status", "is %d: put a 2xx there, or the provider sends again what was accepted", s)
	}
	if !(k.Rate >= 0) { // nor NaN
		k.add("Rate", "is %v: put the calls a second there that the provider allows, or 0 for the default", k.Rate)
	}
}

func (k *checker) fields() {
	k.fieldList("Fields", k.Fields)
	k.fieldList("AppFields", k.AppFields)
	for _, f := range k.AppFields {
		if f.Name == fieldClientID || f.Name == fieldClientSecret {
			k.add("AppFields", "lists %s: remove it, every App has it", f.Name)
		}
	}
}

func (k *checker) fieldList(list string, fields []Field) {
	seen := make(map[string]bool)
	for i, f := range fields {
		at := fmt.Sprintf("%s[%d]", list, i)
		if f.Name != "" {
			at = fmt.Sprintf("%s %q:", list, f.Name)
		}
		switch {
		case !valueName.MatchString(f.Name):
			k.add(at, "Name must be small letters, digits and _: templates write it as {%s}", f.Name)
		case list == "Fields" && given(f.Name): // an App's field is {app.name}
			k.add(at, "Name is reserved: {%s} is filled in by the engine", f.Name)
		case seen[f.Name]:
			k.add(at, "is declared twice: remove one")
		}
		seen[f.Name] = true
		if f.Label == "" {
			k.add(at, "Label is missing: put there what the person reads")
		}
		if slices.Contains(f.Options, "") {
			k.add(at, "Options has an empty one: set Optional instead")
		}
		if _, err := f.pattern(); err != nil {
			k.add(at, "Pattern is no regular expression (RE2): %w", err)
			continue
		}
		if f.Default == "" {
			continue
		}
		if f.Secret {
			k.add(at, "Default of a secret one must be empty: everybody would know it")
		} else if err := f.Check(f.Default); err != nil {
			k.add(at, "Default is refused by its own rule: %w", err)
		}
	}
}

// use checks how credentials go into API requests.
func (k *checker) use() {
	for name, t := range k.Use.Header {
		if name == "" || http.CanonicalHeaderKey(name) == "Host" {
			k.add("Use.Header", "has the name %q: put a header's name there", name)
		}
		k.template(fmt.Sprintf("Use.Header[%q]", name), t, k.known(true, "token"))
	}
	k.template("Use.User", k.Use.User, k.known(true, "token"))
	k.template("Use.Pass", k.Use.Pass, k.known(true, "token"))
	k.template("Use.Path", k.Use.Path, k.known(true, "token"))
	if p := string(k.Use.Path); p != "" && !strings.HasPrefix(p, "/") {
		k.add("Use.Path", "must begin with /: it is put before the path")
	}
	if k.Use.Pass != "" && k.Use.User == "" {
		k.add("Use.User", "is missing: Basic takes User and Pass")
	}
	for name, t := range k.Endpoints {
		k.url(fmt.Sprintf("Endpoints[%q]", name), t, k.OAuth != nil)
	}
}

func (k *checker) capabilities() {
	if k.Verifier != nil && k.Decoder == nil {
		k.add("Decode", "is missing: a connector that verifies requests must say what they hold")
	}
	for _, c := range []struct {
		name string
		has  bool
	}{{"Renew", k.Renewer != nil}, {"List", k.Lister != nil}} {
		if c.has && k.Subscriber == nil {
			k.add("Subscribe", "is missing: %s works on watches that it makes", c.name)
		}
	}
	if k.CallbackVerifier != nil && k.OAuth == nil {
		k.add("OAuth", "is missing: VerifyCallback checks its callback")
	}
}

func (k *checker) defaultApp() {
	if !k.HasDefaultApp {
		return
	}
	for _, err := range k.appProblems(k.DefaultApp) {
		k.add("DefaultApp:", "%w", err)
	}
}

// CheckApp reports what is wrong with an App of this product, all at once:
// fields that are missing, unknown or refused, and with OAuth an empty ClientID.
// FieldWebhookSecret is taken by every connector that verifies requests; an App
// of that alone serves a Forwarder on its own and needs nothing else.
func (e *Entry) CheckApp(a App) error { return errors.Join(e.appProblems(a)...) }

func (e *Entry) appProblems(a App) []error {
	var errs []error
	entered := make(map[string]string, len(a.Fields))
	declared := slices.ContainsFunc(e.AppFields, func(f Field) bool { return f.Name == FieldWebhookSecret })
	for name, v := range a.Fields {
		if name != FieldWebhookSecret || declared || e.Verifier == nil {
			entered[name] = v
		}
	}
	alone := e.Verifier != nil && a.ClientID == "" && a.Fields[FieldWebhookSecret] != ""
	if e.OAuth != nil && a.ClientID == "" && !alone {
		errs = append(errs, fmt.Errorf("client_id is missing: take it from the registration at %s", e.Label))
	}
	var fields []Field
	for _, f := range e.AppFields {
		f.Optional = f.Optional || alone // no consent, no API: only what verifies is needed
		fields = append(fields, f)
	}
	if _, err := CheckFields(fields, entered); err != nil {
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			return append(errs, joined.Unwrap()...)
		}
		return append(errs, err)
	}
	return errs
}
