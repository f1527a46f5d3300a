package webhook

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/interactorhq/interactor/connector"
)

// maxID bounds an id that is kept as it is, in bytes; a longer one is hashed.
const maxID = 200

// Decode implements connector.Decoder. It refuses nothing: what is not JSON is
// text, what is not text is base64.
func (c Connector) Decode(in *connector.Inbound) (*connector.Decoded, error) {
	s := settings(in)
	p := Payload{
		ContentType: strings.ToValidUTF8(in.Header.Get("Content-Type"), "�"),
		Headers:     kept(in, s[fieldKeepHeaders]),
	}
	var raw json.RawMessage
	switch {
	case len(in.Body) == 0:
	case isJSON(p.ContentType, in.Body):
		p.Body, raw = in.Body, in.Body
	case utf8.Valid(in.Body):
		p.Text = string(in.Body)
	default:
		p.Base64 = in.Body
	}
	return &connector.Decoded{Notices: []connector.Notice{{Occurrences: []connector.Occurrence{{
		Trigger: Received, Key: key(in, s[fieldIDHeader]), Payload: p, Raw: raw,
	}}}}}, nil
}

// isJSON reports whether the body is to be passed on as JSON: it is valid, and
// the sender says so or says nothing else. A plain text "123" stays text.
func isJSON(contentType string, body []byte) bool {
	if !json.Valid(body) || !utf8.Valid(body) {
		return false
	}
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil || media == "application/json" || strings.HasSuffix(media, "+json") {
		return true
	}
	first := strings.TrimLeft(string(body[:min(len(body), 64)]), " \t\r\n")
	return strings.HasPrefix(first, "{") || strings.HasPrefix(first, "[")
}

// key tells events apart: by the sender's id, else each request is one of its
// own (see the package comment).
func key(in *connector.Inbound, idHeader string) string {
	for _, name := range []string{"Webhook-Id", "Idempotency-Key", http.CanonicalHeaderKey(idHeader)} {
		if name == "" {
			continue
		}
		if id := in.Header.Get(name); id != "" {
			if len(id) > maxID || !utf8.ValidString(id) {
				id = digest([]byte(id))
			}
			return strings.ToLower(name) + ":" + id
		}
	}
	return "body:" + digest(in.Body) + ":" + strconv.FormatInt(in.ReceivedAt.UnixNano(), 36)
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
