package gmailtest

import (
	"encoding/base64"
	"fmt"
	"html"
	"maps"
	"mime"
	"net/http"
	"net/mail"
	"slices"
	"strconv"
	"strings"
	"time"
)

type header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type body struct {
	AttachmentID string `json:"attachmentId,omitempty"`
	Size         int    `json:"size"`
	Data         string `json:"data,omitempty"`
}

type part struct {
	PartID   string   `json:"partId"`
	MimeType string   `json:"mimeType"`
	Filename string   `json:"filename"`
	Headers  []header `json:"headers,omitempty"`
	Body     *body    `json:"body,omitempty"`
	Parts    []*part  `json:"parts,omitempty"`
}

// getMessage is users.messages.get with the formats full, metadata and minimal.
func (s *Server) getMessage(c call) {
	m := c.box.messages[c.r.PathValue("id")]
	if m == nil {
		apiError(c.w, http.StatusNotFound, "notFound", "Requested entity was not found.")
		return
	}
	q := c.r.URL.Query()
	format := orElse(q.Get("format"), "full")
	out := m.minimal()
	switch format {
	case "minimal":
	case "metadata":
		p := m.payload()
		wanted := q["metadataHeaders"]
		headers := slices.DeleteFunc(p.Headers, func(h header) bool {
			return len(wanted) > 0 && !slices.ContainsFunc(wanted, func(w string) bool { return strings.EqualFold(w, h.Name) })
		})
		out["payload"] = map[string]any{"mimeType": p.MimeType, "headers": headers}
	case "full":
		if !c.full() {
			apiError(c.w, http.StatusForbidden, "forbidden", "Metadata scope doesn't allow format FULL")
			return
		}
		out["payload"] = m.payload()
	default:
		apiError(c.w, http.StatusNotImplemented, "notImplemented", "gmailtest does not offer format="+format)
		return
	}
	writeJSON(c.w, http.StatusOK, out)
}

// minimal is what every format tells of a message.
func (m *message) minimal() map[string]any {
	out := map[string]any{
		"id": m.id, "threadId": m.thread,
		"snippet":      snippet(m.mail.Text),
		"historyId":    strconv.FormatUint(m.changed, 10),
		"internalDate": strconv.FormatInt(m.at.UnixMilli(), 10),
		"sizeEstimate": m.mail.size(),
	}
	if len(m.labels) > 0 {
		out["labelIds"] = m.labels
	}
	return out
}

// getThread is users.threads.get with the format minimal.
func (s *Server) getThread(c call) {
	if f := c.r.URL.Query().Get("format"); f != "minimal" {
		apiError(c.w, http.StatusNotImplemented, "notImplemented", "gmailtest offers threads with format=minimal only")
		return
	}
	id := c.r.PathValue("id")
	var found []*message
	for _, m := range c.box.messages {
		if m.thread == id {
			found = append(found, m)
		}
	}
	if len(found) == 0 {
		apiError(c.w, http.StatusNotFound, "notFound", "Requested entity was not found.")
		return
	}
	slices.SortFunc(found, func(a, b *message) int { return strings.Compare(a.id, b.id) })
	var changed uint64
	messages := make([]map[string]any, len(found))
	for i, m := range found {
		messages[i], changed = m.minimal(), max(changed, m.changed)
	}
	writeJSON(c.w, http.StatusOK, map[string]any{
		"id": id, "historyId": strconv.FormatUint(changed, 10), "messages": messages,
	})
}

func (s *Server) getAttachment(c call) {
	m := c.box.messages[c.r.PathValue("id")]
	if m != nil {
		for i, a := range m.mail.Attachments {
			if attachmentID(m, i) == c.r.PathValue("attach") {
				writeJSON(c.w, http.StatusOK, map[string]any{
					"size": len(a.Data), "data": base64.URLEncoding.EncodeToString(a.Data),
				})
				return
			}
		}
	}
	apiError(c.w, http.StatusNotFound, "notFound", "Requested entity was not found.")
}

func attachmentID(m *message, i int) string { return fmt.Sprintf("ANGjdJ%s%d", m.id, i) }

// payload builds the MIME tree: one text part alone, or alternatives, or either
// of them with the files in multipart/mixed.
func (m *message) payload() *part {
	l := m.mail
	root := l.text()
	if len(l.Attachments) > 0 {
		mixed := &part{MimeType: "multipart/mixed", Body: &body{}, Parts: []*part{root}}
		for i, a := range l.Attachments {
			mixed.Parts = append(mixed.Parts, &part{
				MimeType: orElse(a.MimeType, "application/octet-stream"), Filename: a.Filename,
				Headers: []header{
					{"Content-Type", a.MimeType},
					{"Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": a.Filename})},
				},
				Body: &body{AttachmentID: attachmentID(m, i), Size: len(a.Data)},
			})
		}
		root = mixed
	}
	root.number("")
	root.Headers = append(l.headers(m.at), root.Headers...)
	return root
}

func (p *part) number(id string) {
	p.PartID = id
	for i, child := range p.Parts {
		next := strconv.Itoa(i)
		if id != "" {
			next = id + "." + next
		}
		child.number(next)
	}
}

func (l *letter) text() *part {
	leaf := func(mimeType, text string) *part {
		return &part{
			MimeType: mimeType,
			Headers:  []header{{"Content-Type", mimeType + `; charset="UTF-8"`}},
			Body:     &body{Size: len(text), Data: base64.URLEncoding.EncodeToString([]byte(text))},
		}
	}
	plain := leaf("text/plain", l.Text)
	switch {
	case l.HTML == "":
		return plain
	case l.Text == "":
		return leaf("text/html", l.HTML)
	}
	return &part{
		MimeType: "multipart/alternative", Body: &body{},
		Headers: []header{{"Content-Type", `multipart/alternative; boundary="000000000000"`}},
		Parts:   []*part{plain, leaf("text/html", l.HTML)},
	}
}

// headers writes them as they travel: what is not ASCII is encoded (RFC 2047).
func (l *letter) headers(at time.Time) []header {
	list := []header{
		{"MIME-Version", "1.0"},
		{"Date", at.UTC().Format(time.RFC1123Z)},
		{"Message-ID", l.messageID},
		{"Subject", mime.QEncoding.Encode("utf-8", l.Subject)},
		{"From", encodeAddresses(l.From)},
	}
	for _, h := range []struct {
		name   string
		values []string
	}{{"To", l.To}, {"Cc", l.Cc}, {"Bcc", l.Bcc}, {"Reply-To", nonEmpty(l.ReplyTo)}} {
		if len(h.values) > 0 {
			list = append(list, header{h.name, encodeAddresses(h.values...)})
		}
	}
	if l.InReplyTo != "" {
		list = append(list, header{"In-Reply-To", l.InReplyTo}, header{"References", l.InReplyTo})
	}
	for _, name := range slices.Sorted(maps.Keys(l.Header)) {
		list = slices.DeleteFunc(list, func(h header) bool { return strings.EqualFold(h.Name, name) })
		list = append(list, header{name, l.Header[name]})
	}
	return list
}

func nonEmpty(v string) []string {
	if v == "" {
		return nil
	}
	return []string{v}
}

func encodeAddresses(list ...string) string {
	out := make([]string, len(list))
	for i, text := range list {
		out[i] = text
		a, err := mail.ParseAddress(text)
		switch {
		case err != nil: // as it is
		case a.Name == "":
			out[i] = a.Address
		default:
			out[i] = a.String()
		}
	}
	return strings.Join(out, ", ")
}

func (l *letter) size() int {
	n := len(l.Text) + len(l.HTML) + 500
	for _, a := range l.Attachments {
		n += len(a.Data) * 4 / 3
	}
	return n
}

// snippet is the beginning of the text, HTML-escaped as Google does.
func snippet(text string) string {
	r := []rune(strings.Join(strings.Fields(text), " "))
	return html.EscapeString(string(r[:min(len(r), 100)]))
}
