package standin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"

	"golang.org/x/net/html"
)

// Browser plays a person's browser on the way through a consent: it submits
// the first form of every page until a page of somebody else follows one of
// the provider's. Use a new one for every consent.
type Browser struct {
	// Provider is the origin of the provider's pages, "http://127.0.0.1:1234".
	Provider string
	// Fill enters what the person chooses into a form of the provider's.
	Fill func(values url.Values)
	// Transport defaults to one that reaches loopback alone.
	Transport http.RoundTripper
}

// View is the page that a Browser shows at last.
type View struct {
	At     *url.URL
	Status int
	Body   []byte
}

// Failure says what an error page says, or what a redirect with status=error
// carries. Nil: the page is none of them.
func (v *View) Failure() error {
	if v.Status >= 400 {
		return fmt.Errorf("%s://%s%s answered %d: %s", v.At.Scheme, v.At.Host, v.At.Path, v.Status, visibleText(v.Body))
	}
	if q := v.At.Query(); q.Get("status") == "error" {
		return fmt.Errorf("sent back to %s%s with an error: %s", v.At.Host, v.At.Path, q.Encode())
	}
	return nil
}

// Browse opens an address and goes on to the end. Pages outside loopback are
// not opened: a redirect to one is the end.
func (b *Browser) Browse(ctx context.Context, address string) (*View, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	client := LoopbackClient()
	defer client.CloseIdleConnections()
	if b.Transport != nil {
		client.Transport = b.Transport
	}
	client.Jar = trusting{jar}
	client.CheckRedirect = b.follow
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("opening the authorization address: %w", err)
	}
	agreed := false
	for range 5 {
		v, err := open(client, req)
		if err != nil {
			return nil, err
		}
		ours := v.At.Scheme+"://"+v.At.Host == b.Provider
		if agreed && !ours || v.Status >= 400 {
			return v, nil // the callback's page, or what it redirects to: a form there is not part of the consent
		}
		f, ok := firstForm(v.Body)
		if !ok {
			return nil, fmt.Errorf("%s%s has no form to go on with: %s", v.At.Host, v.At.Path, visibleText(v.Body))
		}
		if ours {
			b.Fill(f.values)
			agreed = true
		}
		if req, err = v.submit(ctx, f); err != nil {
			return nil, err
		}
	}
	return nil, errors.New("pages ask again and again")
}

func (b *Browser) follow(r *http.Request, via []*http.Request) error {
	if len(via) >= 10 {
		return errors.New("redirected 10 times")
	}
	if !IsLoopback(r.URL.Hostname()) {
		return http.ErrUseLastResponse
	}
	return nil
}

// submit is the request that a page's form sends.
func (v *View) submit(ctx context.Context, f form) (*http.Request, error) {
	target, err := v.At.Parse(f.action)
	if err != nil {
		return nil, fmt.Errorf("form of %s: %w", v.At.Path, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), strings.NewReader(f.values.Encode()))
	if err != nil {
		return nil, err
	}
	origin := v.At.Scheme + "://" + v.At.Host
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", origin)
	req.Header.Set("Referer", origin+v.At.Path)
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	return req, nil
}

// trusting keeps Secure cookies of http pages too: every address that this
// browser opens is loopback, which browsers trust like https.
type trusting struct{ http.CookieJar }

// SetCookies implements http.CookieJar.
func (j trusting) SetCookies(u *url.URL, cookies []*http.Cookie) {
	j.CookieJar.SetCookies(secured(u), cookies)
}

// Cookies implements http.CookieJar.
func (j trusting) Cookies(u *url.URL) []*http.Cookie { return j.CookieJar.Cookies(secured(u)) }

func secured(u *url.URL) *url.URL {
	https := *u
	https.Scheme = "https"
	return &https
}

func open(client *http.Client, req *http.Request) (*View, error) {
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("browsing: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("browsing: %w", err)
	}
	v := &View{At: resp.Request.URL, Status: resp.StatusCode, Body: body}
	if to, err := resp.Location(); err == nil { // a redirect out of loopback: where it leads is what counts
		v.At = to
	}
	return v, nil
}

type form struct {
	action string
	values url.Values
}

// firstForm finds the first form that is sent by POST, filled as it is shown.
func firstForm(page []byte) (form, bool) {
	root, err := html.Parse(bytes.NewReader(page))
	if err != nil {
		return form{}, false
	}
	for n := range root.Descendants() {
		if n.Type != html.ElementNode || n.Data != "form" || !strings.EqualFold(attribute(n, "method"), "post") {
			continue
		}
		f := form{action: attribute(n, "action"), values: url.Values{}}
		for in := range n.Descendants() {
			f.add(in)
		}
		return f, true
	}
	return form{}, false
}

// add enters what an input of the form sends as it is shown.
func (f form) add(in *html.Node) {
	name := attribute(in, "name")
	if in.Type != html.ElementNode || name == "" || in.Data != "input" && in.Data != "button" {
		return
	}
	switch kind := strings.ToLower(attribute(in, "type")); {
	case in.Data == "button" || kind == "submit":
		if !f.values.Has(name) { // the first button is the one pressed
			f.values.Set(name, attribute(in, "value"))
		}
	case (kind == "checkbox" || kind == "radio") && !has(in, "checked"):
	default:
		f.values.Add(name, attribute(in, "value"))
	}
}

func attribute(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

func has(n *html.Node, key string) bool {
	for _, a := range n.Attr {
		if a.Key == key {
			return true
		}
	}
	return false
}

// visibleText is what a person reads on a page, shortened for an error message.
func visibleText(page []byte) string {
	root, err := html.Parse(bytes.NewReader(page))
	if err != nil {
		return "unreadable"
	}
	var b strings.Builder
	for n := range root.Descendants() {
		if n.Type == html.TextNode && n.Parent != nil && n.Parent.Data != "style" && n.Parent.Data != "script" {
			b.WriteString(n.Data)
			b.WriteByte(' ')
		}
	}
	text := []rune(strings.Join(strings.Fields(b.String()), " "))
	if len(text) > 300 {
		text = append(text[:300], '…')
	}
	return string(text)
}
