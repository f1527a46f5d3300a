package connectortest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/interactorhq/interactor/connector"
)

// The form of golden files: what Decode made of a request, without Raw, which
// is in the request itself.
type (
	goldenDecoded struct {
		Notices []goldenNotice `json:"notices"`
		Reply   *goldenReply   `json:"reply,omitempty"`
	}
	goldenNotice struct {
		To          []connector.Key    `json:"to,omitempty"`
		Occurrences []goldenOccurrence `json:"occurrences,omitempty"`
		Thin        json.RawMessage    `json:"thin,omitempty"`
		Watch       string             `json:"watch,omitempty"`
		Merge       string             `json:"merge,omitempty"`
		Signal      connector.Signal   `json:"signal,omitempty"`
		Reason      string             `json:"reason,omitempty"`
	}
	goldenOccurrence struct {
		Trigger    string              `json:"trigger"`
		Key        string              `json:"key"`
		OccurredAt *time.Time          `json:"occurred_at,omitempty"`
		Attributes map[string][]string `json:"attributes,omitempty"`
		Payload    any                 `json:"payload"`
	}
	goldenReply struct {
		Status int                 `json:"status,omitempty"`
		Header map[string][]string `json:"header,omitempty"`
		Body   string              `json:"body,omitempty"`
	}
)

// goldenText is a Decoded as golden files have it.
func goldenText(d *connector.Decoded) ([]byte, error) {
	g := goldenDecoded{Notices: []goldenNotice{}}
	if d.Reply != nil {
		g.Reply = &goldenReply{d.Reply.Status, d.Reply.Header, string(d.Reply.Body)}
	}
	for _, n := range d.Notices {
		gn := goldenNotice{To: n.To, Thin: n.Thin, Watch: n.Watch, Merge: n.Merge, Signal: n.Signal, Reason: n.Reason}
		for _, o := range n.Occurrences {
			occurred := goldenOccurrence{Trigger: o.Trigger, Key: o.Key, Attributes: o.Attributes, Payload: o.Payload}
			if !o.OccurredAt.IsZero() {
				at := o.OccurredAt.UTC()
				occurred.OccurredAt = &at
			}
			gn.Occurrences = append(gn.Occurrences, occurred)
		}
		g.Notices = append(g.Notices, gn)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(g)
	return b.Bytes(), err
}

// golden compares what was decoded with the file beside the request.
func (r *run) golden(p *prepared, d *connector.Decoded) []string {
	if p.File == "" {
		return nil
	}
	got, err := goldenText(d)
	if err != nil {
		return []string{fmt.Sprintf("what Decode gave does not encode: %v", err)}
	}
	file := p.File + ".json"
	if os.Getenv("CONNECTORTEST_UPDATE") == "1" {
		if err := os.WriteFile(file, got, 0o644); err != nil { //nolint:gosec // a file of the source tree
			return []string{err.Error()}
		}
		return nil
	}
	want, err := os.ReadFile(file) //nolint:gosec // named by the test that calls
	if err != nil {
		return []string{fmt.Sprintf("%v: write it with CONNECTORTEST_UPDATE=1", err)}
	}
	if want = bytes.ReplaceAll(want, []byte("\r\n"), []byte("\n")); !bytes.Equal(got, want) {
		return []string{fmt.Sprintf("%s differs; Decode gave\n%s", file, got)}
	}
	return nil
}
