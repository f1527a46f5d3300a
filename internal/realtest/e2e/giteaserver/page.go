package giteaserver

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/html"
)

// Page is what a [Visitor] sees after the last redirect.
type Page struct {
	// URL is the address in the visitor's address bar.
	URL *url.URL
	// Via are the addresses that led here by redirects, first the one that was asked for.
	Via []*url.URL
	// Status is the HTTP status code.
	Status int
	// Header is the answer's header.
	Header http.Header
	// Body is the document as it came.
	Body string
	// Title is the text of its title element.
	Title string

	forms []form
}

// form is an HTML form: where it goes and what it sends when nobody fills anything in.
type form struct {
	action *url.URL
	method string
	values url.Values
}

func newPage(resp *http.Response, body []byte) (*Page, error) {
	p := &Page{URL: resp.Request.URL, Status: resp.StatusCode, Header: resp.Header, Body: string(body)}
	for former := resp.Request.Response; former != nil; former = former.Request.Response {
		p.Via = append(p.Via, former.Request.URL)
	}
	slices.Reverse(p.Via)
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		return p, nil
	}
	root, err := html.Parse(strings.NewReader(p.Body))
	if err != nil {
		return nil, fmt.Errorf("the page at %s: %w", p.URL, err)
	}
	for n := range root.Descendants() {
		switch {
		case n.Type != html.ElementNode:
		case n.Data == "title" && p.Title == "" && n.FirstChild != nil:
			p.Title = strings.TrimSpace(n.FirstChild.Data)
		case n.Data == "form":
			f, err := newForm(n, p.URL)
			if err != nil {
				return nil, err
			}
			p.forms = append(p.forms, f)
		}
	}
	return p, nil
}

func newForm(n *html.Node, base *url.URL) (form, error) {
	action, err := base.Parse(attribute(n, "action"))
	if err != nil {
		return form{}, fmt.Errorf("the form at %s goes nowhere: %w", base, err)
	}
	f := form{action: action, method: strings.ToUpper(attribute(n, "method")), values: url.Values{}}
	for field := range n.Descendants() {
		name := attribute(field, "name")
		if field.Type != html.ElementNode || field.Data != "input" || name == "" {
			continue
		}
		if kind := attribute(field, "type"); kind == "checkbox" || kind == "submit" {
			continue // sent only when the visitor ticks or clicks it
		}
		f.values.Set(name, attribute(field, "value"))
	}
	return f, nil
}

func attribute(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

// formWith returns the page's first form that has a field of this name.
func (p *Page) formWith(field string) (form, bool) {
	for _, f := range p.forms {
		if f.values.Has(field) {
			return f, true
		}
	}
	return form{}, false
}

// formTo returns the page's first form whose action has this path.
func (p *Page) formTo(path string) (form, bool) {
	for _, f := range p.forms {
		if f.action.Path == path {
			return f, true
		}
	}
	return form{}, false
}

// stuck explains on which page a visit ended that should have gone on.
func (p *Page) stuck(wanted string) error {
	return fmt.Errorf("%s: stopped at %s with status %d and title %q", wanted, p.URL.Redacted(), p.Status, p.Title)
}

var errTooManyPages = errors.New("the visit went through more than 10 pages")
