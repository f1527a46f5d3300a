package giteaserver

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"golang.org/x/net/html"
)

// Delivery is one webhook request as Gitea remembers to have sent it.
type Delivery struct {
	// Header and Body are what it sent. Of the headers it keeps its own.
	Header http.Header
	Body   []byte
	// Status is the HTTP status code of the answer, "-" while there is none.
	Status string
}

// ID is Gitea's id of the delivery, a UUID.
func (d Delivery) ID() string { return d.Header.Get("X-Gitea-Delivery") }

// Event is the kind of event, such as "issues".
func (d Delivery) Event() string { return d.Header.Get("X-Gitea-Event") }

// RecentDeliveries reads what Gitea's settings show under "Recent Deliveries" of a webhook of the
// user, newest first and at most 10: the oracle for what must have arrived. Its API does not tell.
// The visitor has to be logged in as that user, as it is after [Visitor.Consent].
func (v *Visitor) RecentDeliveries(ctx context.Context, hook int64) ([]Delivery, error) {
	page, err := v.Open(ctx, fmt.Sprintf("%s/user/settings/hooks/%d", v.server.URL, hook))
	if err != nil {
		return nil, err
	}
	if page.Status != http.StatusOK {
		return nil, page.stuck("no recent deliveries")
	}
	root, err := html.Parse(strings.NewReader(page.Body))
	if err != nil {
		return nil, fmt.Errorf("the page at %s: %w", page.URL, err)
	}
	var all []Delivery
	for n := range root.Descendants() {
		if n.Type == html.ElementNode && strings.HasPrefix(attribute(n, "id"), "info-") {
			all = append(all, newDelivery(n))
		}
	}
	return all, nil
}

// newDelivery reads a panel of that page: request headers, payload, and, once there was an answer,
// its status, headers and body.
func newDelivery(panel *html.Node) Delivery {
	d := Delivery{Header: http.Header{}}
	var blocks []string
	for n := range panel.Descendants() {
		switch {
		case n.Type != html.ElementNode:
		case n.Data == "pre":
			blocks = append(blocks, text(n))
		case n.Data == "span" && strings.HasSuffix(attribute(n, "class"), " label"):
			d.Status = strings.TrimSpace(text(n))
		}
	}
	if len(blocks) < 2 {
		return d
	}
	for line := range strings.Lines(blocks[0]) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ": "); ok && strings.HasPrefix(name, "X-") {
			d.Header.Set(name, value)
		}
	}
	d.Body = []byte(blocks[1])
	return d
}

func text(n *html.Node) string {
	var out strings.Builder
	for child := range n.Descendants() {
		if child.Type == html.TextNode {
			out.WriteString(child.Data)
		}
	}
	return out.String()
}
