package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/interactorhq/interactor/trigger"
)

// replayBody is a body that was read already.
func replayBody(body []byte) io.ReadCloser { return io.NopCloser(bytes.NewReader(body)) }

// maxBody of a request, in bytes.
const maxBody = 1 << 20

// readBody returns the body, or an answer that says what is wrong with it.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, fail(http.StatusRequestEntityTooLarge, CodeBodyTooLarge, "", "the body is larger than 1 MiB: send less")
	case err != nil:
		return nil, badBody("", "the body could not be read to its end")
	}
	return body, nil
}

// object is a JSON object whose members are taken by their exact names; decoding
// into a struct would also take "URL" for "url". The first mistake stays.
type object struct {
	members map[string]json.RawMessage
	order   []string // as in the text, those not taken yet
	known   []string
	err     error
}

// parseObject reads exactly one object. Members that appear twice are refused:
// others on the way may have looked at the other one.
func parseObject(body []byte) *object {
	o := &object{members: make(map[string]json.RawMessage)}
	broken := func() *object {
		o.err = badBody("", "the body is no JSON object: send one such as {\"name\":\"value\"}")
		return o
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	if token, err := dec.Token(); err != nil || token != json.Delim('{') {
		return broken()
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return broken()
		}
		key, ok := name.(string)
		if !ok {
			return broken()
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return broken()
		}
		if _, twice := o.members[key]; twice {
			o.err = badBody(short(key), "the member %q appears twice", short(key))
			return o
		}
		o.members[key] = value
		o.order = append(o.order, key)
	}
	if _, err := dec.Token(); err != nil { // the closing brace
		return broken()
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return broken()
	}
	return o
}

// take decodes a member, if it is there, into what to points at.
func (o *object) take(name, must string, to any) (there bool) {
	o.known = append(o.known, name)
	value, there := o.members[name]
	if !there {
		return false
	}
	// null would leave the value as it is, as if the member were absent.
	if o.err == nil && (bytes.Equal(value, []byte("null")) || json.Unmarshal(value, to) != nil) {
		o.err = badBody(name, "%s must be %s", name, must)
	}
	return true
}

func (o *object) text(name string, to *string) bool { return o.take(name, "a text", to) }

func (o *object) texts(name string, to *[]string) {
	o.take(name, "a list of texts", to)
}

func (o *object) textMap(name string, to *map[string]string) {
	o.take(name, "an object of texts", to)
}

// overrides takes params by trigger. Within, null is not "none": which of the two
// that {} stands for is meant, the caller has to say.
func (o *object) overrides(name string, to *trigger.Overrides) bool {
	const must = `an object of objects of texts, such as {"gmail.email.labeled":{"label":"Invoices"}}`
	var all map[string]map[string]*string
	there := o.take(name, must, &all)
	params := make(trigger.Overrides, len(all))
	for of, values := range all {
		if values == nil && o.err == nil {
			o.err = badBody(name, "%s must be %s: leave %q out", name, must, short(of))
		}
		params[of] = make(map[string]string, len(values))
		for param, value := range values {
			if value == nil {
				if o.err == nil {
					o.err = badBody(name, "%s must be %s: leave %q of %q out", name, must, short(param), short(of))
				}
				continue
			}
			params[of][param] = *value
		}
	}
	*to = params
	return there
}

func (o *object) duration(name string, to *time.Duration) bool {
	var text string
	there := o.take(name, `a duration such as "1h"`, &text)
	if there && o.err == nil {
		d, err := time.ParseDuration(text)
		if err != nil {
			o.err = badBody(name, `%s must be a duration such as "1h"`, name)
		}
		*to = d
	}
	return there
}

// end returns the first mistake, a member that nobody took being one.
func (o *object) end() error {
	if o.err != nil {
		return o.err
	}
next:
	for _, name := range o.order {
		for _, known := range o.known {
			if name == known {
				continue next
			}
		}
		there := "it takes none"
		if len(o.known) > 0 {
			there = "there are " + strings.Join(o.known, ", ")
		}
		return badBody(short(name), "the member %q is unknown: %s", short(name), there)
	}
	return nil
}

// short keeps what a stranger wrote small in an answer.
func short(s string) string {
	if len(s) > 60 {
		s = strings.ToValidUTF8(s[:60], "") + "…"
	}
	return s
}
