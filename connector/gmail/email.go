package gmail

import (
	"html"
	"mime"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/htmlindex"
	gmailapi "google.golang.org/api/gmail/v1"
)

// Bounds of an Email. What is cut is marked Truncated.
const (
	maxText        = 256 << 10 // bytes of text, and of html
	maxAttachments = 500
	maxDepth       = 32 // of nested parts
)

// newEmail normalises a message.
func newEmail(m *gmailapi.Message) Email {
	e := Email{
		ID: m.Id, ThreadID: m.ThreadId, Labels: slices.Clone(m.LabelIds),
		Snippet: plain(html.UnescapeString(m.Snippet)),
		Date:    internalDate(m), Size: m.SizeEstimate,
	}
	if m.Payload == nil {
		return e
	}
	h := headers(m.Payload.Headers)
	var cut [8]bool
	e.MessageID, cut[0] = clip(plain(h.get("Message-ID")), maxHeader)
	e.InReplyTo, cut[1] = clip(plain(h.get("In-Reply-To")), maxHeader)
	e.Subject, cut[2] = clip(decodeHeader(h.get("Subject")), maxHeader)
	var from []Address
	from, cut[3] = parseAddresses(h.get("From"))
	if len(from) > 0 {
		e.From = from[0]
	}
	e.To, cut[4] = parseAddresses(h.all("To"))
	e.Cc, cut[5] = parseAddresses(h.all("Cc"))
	e.Bcc, cut[6] = parseAddresses(h.all("Bcc"))
	e.ReplyTo, cut[7] = parseAddresses(h.get("Reply-To"))
	e.Truncated = slices.Contains(cut[:], true)

	var b body
	b.add(m.Payload, 0)
	e.Text, e.HTML, e.Attachments = b.text.String(), b.html.String(), b.files
	e.Truncated = e.Truncated || b.cut || b.text.cut || b.html.cut
	return e
}

// body collects the parts of a message.
type body struct {
	text, html builder
	files      []Attachment
	cut        bool
}

// add takes in a part of the MIME tree.
func (b *body) add(p *gmailapi.MessagePart, depth int) {
	if p == nil {
		return
	}
	if depth >= maxDepth {
		b.cut = true
		return
	}
	h := headers(p.Headers)
	kind := strings.ToLower(p.MimeType)
	disposition, _, _ := mime.ParseMediaType(h.get("Content-Disposition"))
	file := p.Filename != "" || disposition == "attachment" || kind == "message/rfc822"
	data, attachment, size := "", "", int64(0)
	if p.Body != nil {
		data, attachment, size = p.Body.Data, p.Body.AttachmentId, p.Body.Size
	}
	into := map[string]*builder{"text/plain": &b.text, "text/html": &b.html}[kind]
	switch {
	case !file && into != nil && attachment == "":
		into.add(decodeText(data, h.get("Content-Type")))
	case file || attachment != "":
		if !file && into != nil {
			b.cut = true // a text so long that Gmail stores it apart
		}
		if len(b.files) >= maxAttachments {
			b.cut = true
			return
		}
		name, cut := clip(decodeHeader(p.Filename), maxHeader)
		b.cut = b.cut || cut
		b.files = append(b.files, Attachment{
			ID: attachment, PartID: p.PartId, Filename: name, MimeType: kind, Size: size, Inline: disposition == "inline",
		})
		return // what a forwarded message contains is its own
	}
	for _, child := range p.Parts {
		b.add(child, depth+1)
	}
}

// builder joins the text parts of a message up to maxText.
type builder struct {
	strings.Builder
	cut bool
}

func (b *builder) add(text string) {
	if b.Len() > 0 && text != "" {
		text = "\n" + text
	}
	text, cut := clip(text, maxText-b.Len())
	b.cut = b.cut || cut
	b.WriteString(text)
}

// decodeText returns the content of a text part as UTF-8. Gmail undoes the
// transfer encoding; whether it also converts the character set is not
// documented, so what is UTF-8 already stays.
func decodeText(data, contentType string) string {
	b, err := base64Any(data)
	if err != nil {
		return ""
	}
	_, params, _ := mime.ParseMediaType(contentType)
	charset := strings.ToLower(strings.TrimSpace(params["charset"]))
	// ISO 2022 is ASCII to the eye of utf8.Valid, but for its escapes.
	shifts := strings.HasPrefix(charset, "iso-2022-") && slices.Contains(b, 0x1b)
	if charset != "" && (shifts || !utf8.Valid(b)) {
		if enc, err := htmlindex.Get(charset); err == nil {
			if converted, err := enc.NewDecoder().Bytes(b); err == nil {
				b = converted
			}
		}
	}
	// NUL is no text, and databases refuse it.
	return strings.ReplaceAll(strings.ToValidUTF8(string(b), "\uFFFD"), "\x00", "\uFFFD")
}

// clip cuts a text to at most n bytes between two characters.
func clip(s string, n int) (string, bool) {
	if len(s) <= n {
		return s, false
	}
	n = max(n, 0)
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n], true
}
