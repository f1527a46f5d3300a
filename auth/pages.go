package auth

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/interactorhq/interactor/connector"
)

//go:embed pages
var pageFiles embed.FS

// pages are what end users see. They load nothing, run no script and cannot be
// framed; their style sheet is allowed by its hash.
type pages struct {
	templates *template.Template
	style     template.CSS
	styleHash string
	product   string
	plain     bool // PublicURL is http: a machine of a developer
}

// continuePage asks for consent, and for fields.
type continuePage struct {
	Connector string
	Action    string
	CSRF      string
	OAuth     bool
	Fields    []fieldView
	Access    []string // in words
	Scopes    []string // as the provider calls them
}

type fieldView struct {
	Name, Label, Help, Value, Error string
	Secret, Optional, Multiline     bool
	Options                         []string
}

type successPage struct{ Connector, Identity string }

type failurePage struct {
	Title, Text string
	Code        string // for support
	Retry       string // address
	again       bool   // Retry makes sense
}

// endedPage is for tickets and states that lead nowhere any more.
func endedPage() failurePage {
	return failurePage{
		Title: "This link is no longer valid",
		Text:  "It was used already, or more than 30 minutes have passed. Please go back to where you came from and start again.",
	}
}

// strayPage is for callbacks that nobody here asked for, such as an installation
// that began at the provider: it carries no Account.
func strayPage() failurePage {
	return failurePage{
		Title: "Start from where you use it",
		Text:  "This page finishes a connection that was begun elsewhere, and nothing is under way. Please start it in the product that you want to connect.",
	}
}

func newPages(public *url.URL, product string) *pages {
	css, err := pageFiles.ReadFile("pages/style.css")
	if err != nil {
		panic("auth: " + err.Error()) // it is embedded
	}
	sum := sha256.Sum256(css)
	return &pages{
		templates: template.Must(template.New("").Funcs(template.FuncMap{"monogram": monogram}).ParseFS(pageFiles, "pages/*.gohtml")),
		style:     template.CSS(css), //nolint:gosec // embedded, nobody else writes it
		styleHash: "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'",
		product:   product,
		plain:     public.Scheme == "http",
	}
}

// protect sets what every answer of the handler carries, redirects included.
func (p *pages) protect(h http.Header, formTargets string) {
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src "+p.styleHash+
		"; base-uri 'none'; frame-ancestors 'none'; form-action "+or(formTargets, "'none'"))
}

// formTargets is where the form of the Continue page may lead. Browsers hold its
// redirects to it, too, and those of the provider behind: so any https, and http
// where that is in use at all.
func (p *pages) formTargets(e *connector.Entry, redirect string) string {
	targets := "'self' https:"
	if p.plain || strings.HasPrefix(redirect, "http://") || e.OAuth != nil && !strings.HasPrefix(string(e.OAuth.Authorize), "https://") {
		targets += " http:"
	}
	return targets
}

func (p *pages) fail(w http.ResponseWriter, status int, page failurePage) {
	p.render(w, status, "failure", page, page.Title, "")
}

func (p *pages) render(w http.ResponseWriter, status int, name string, page any, title, formTargets string) {
	var b bytes.Buffer
	err := p.templates.ExecuteTemplate(&b, name+".gohtml", map[string]any{
		"Page": page, "Title": title, "Style": p.style, "Product": p.product,
	})
	if err != nil {
		http.Error(w, "the page cannot be shown", http.StatusInternalServerError)
		return
	}
	p.protect(w.Header(), formTargets)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}

// monogram is the first letter or digit of a name.
func monogram(name string) string {
	i := strings.IndexFunc(name, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) })
	if i < 0 {
		return "·"
	}
	r, _ := utf8.DecodeRuneInString(name[i:])
	return string(unicode.ToUpper(r))
}

// maxNamed is how many triggers the Continue page names.
const maxNamed = 3

// describe says in words what the scopes mean: who the account is, and the
// triggers that they make possible.
func (c *continuePage) describe(e *connector.Entry, scopes []string) {
	for _, s := range scopes {
		c.Scopes = append(c.Scopes, bareScope(s))
	}
	c.Access = append(c.Access, "See which "+e.Label+" account it is")
	var labels []string
	for _, t := range e.Triggers {
		if !slices.ContainsFunc(t.Scopes, func(s string) bool { return !slices.Contains(scopes, s) }) {
			labels = append(labels, t.Label)
		}
	}
	if len(labels) == 0 {
		return
	}
	named := labels[:min(len(labels), maxNamed)]
	line := "Notice what happens there, such as “" + strings.Join(named, "”, “") + "”"
	if more := len(labels) - len(named); more > 0 {
		line += fmt.Sprintf(" and %d more", more)
	}
	c.Access = append(c.Access, line)
}

// askedFields are the Fields that the Continue page asks for: those that the
// program did not give.
func askedFields(e *connector.Entry, r request) []connector.Field {
	if r.SkipInput {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(e.Fields), func(f connector.Field) bool { return r.Input[f.Name] != "" })
}

func fieldViews(fields []connector.Field, given, entered map[string]string, bad *InputError) []fieldView {
	views := make([]fieldView, 0, len(fields))
	for _, f := range fields {
		v := fieldView{
			Name: f.Name, Label: or(f.Label, f.Name), Help: f.Help, Value: or(entered[f.Name], or(given[f.Name], f.Default)),
			Secret: f.Secret, Optional: f.Optional, Options: f.Options,
			Multiline: strings.Contains(f.Pattern, "(?s") || strings.Contains(f.Pattern, `\n`),
		}
		if f.Secret {
			v.Value = ""
		}
		if bad != nil {
			switch {
			case slices.Contains(bad.Missing, f.Name):
				v.Error = "Please fill this in."
			case bad.Invalid[f.Name] != "":
				v.Error = "This does not look right. Please check it."
			case f.Secret && entered[f.Name] != "":
				v.Error = "Please enter this again."
			}
		}
		views = append(views, v)
	}
	return views
}
