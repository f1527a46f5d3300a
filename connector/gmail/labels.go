package gmail

import (
	"context"
	"fmt"
	"slices"
	"strings"

	gmailapi "google.golang.org/api/gmail/v1"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/trigger"
)

// ParamLabel is the param of EmailLabeled: the name of a label, or its id.
const ParamLabel = "label"

// labels are those of a mailbox, by id; nil: not asked for yet.
type labels map[string]*gmailapi.Label

// labelList asks for them once in an Expand. Names are looked up each time because
// people change them; ids stay.
func (e *expansion) labelList(ctx context.Context) (labels, error) {
	if e.known == nil {
		resp, err := e.svc.Users.Labels.List(me).Context(ctx).Do()
		if err != nil {
			return nil, apiError("labels", err)
		}
		e.known = labels{}
		for _, l := range resp.Labels {
			if l != nil {
				e.known[l.Id] = l
			}
		}
	}
	return e.known, nil
}

// ofPeople reports whether a label is one that people made. One that is no
// longer there can only be one of those.
func (l labels) ofPeople(id string) bool {
	if have := l[id]; have != nil {
		return have.Type != "system"
	}
	return strings.HasPrefix(id, "Label_")
}

// means reports whether a param means the label. Gmail folds the case of names:
// no two labels differ by it alone.
func (l labels) means(param, id string) bool {
	have := l[id]
	return param == id || have != nil && strings.EqualFold(strings.TrimSpace(param), have.Name)
}

// has reports whether a param means one of the labels.
func (l labels) has(param string) bool {
	for id := range l {
		if l.means(param, id) {
			return true
		}
	}
	return false
}

// noLabel says what to do about a param that means no label.
func noLabel(param string) string {
	return fmt.Sprintf("this mailbox has no label %.200q: make it in Gmail, or name another one", plain(param))
}

// CheckParams reports whether the mailbox has the label that a Filter names, so
// that a misspelt one does not stay silent. It may be made yet, and is looked for
// again.
func (c *Connector) CheckParams(ctx context.Context, s *connector.Session, sub *connector.Subscription, f trigger.Filter) error {
	name := f.Params[ParamLabel]
	if name == "" {
		return nil
	}
	svc, err := service(ctx, s)
	if err != nil {
		return err
	}
	e := &expansion{svc: svc, sub: sub}
	known, err := e.labelList(ctx)
	if err != nil {
		return err
	}
	if !known.has(name) {
		return &connector.ParamError{Param: ParamLabel, Value: name, Problem: noLabel(name), Later: true}
	}
	return nil
}

// attributes are what the params of EmailLabeled are compared with: id and name
// of the label, and the name as the trigger list writes it.
func (e *expansion) attributes(id string) map[string][]string {
	values := []string{id}
	if have := e.known[id]; have != nil && have.Name != id {
		values = append(values, have.Name)
	}
	for _, f := range e.sub.Filters {
		if p := f.Params[ParamLabel]; p != "" && e.known.means(p, id) && !slices.Contains(values, p) {
			values = append(values, p)
		}
	}
	return map[string][]string{ParamLabel: values}
}

// wantsLabel reports whether somebody wants to hear that the label was put on.
// Whoever names none means those of people: each mail that arrives gets several
// of Gmail's own.
func (e *expansion) wantsLabel(ctx context.Context, id string) (bool, error) {
	if !e.wants(EmailLabeled) {
		return false, nil
	}
	known, err := e.labelList(ctx)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(e.sub.Filters, func(f trigger.Filter) bool {
		p := f.Params[ParamLabel]
		return f.Covers(EmailLabeled) && (p == "" && known.ofPeople(id) || p != "" && known.means(p, id))
	}), nil
}

// missing tells, once for each, of labels that the trigger list names and the
// mailbox does not have: nothing would ever come of them, and nobody would know.
func (e *expansion) missing(ctx context.Context) ([]connector.Notice, error) {
	var names []string
	for _, f := range e.sub.Filters {
		if p := f.Params[ParamLabel]; p != "" && f.Covers(EmailLabeled) && !slices.Contains(names, p) {
			names = append(names, p)
		}
	}
	if len(names) == 0 {
		e.memory.Labels, e.memory.Missing = nil, nil
		return nil, nil
	}
	seen := func(name string) bool {
		return slices.Contains(e.memory.Labels, name) || slices.Contains(e.memory.Missing, name)
	}
	if e.known == nil && !slices.ContainsFunc(names, func(n string) bool { return !seen(n) }) {
		return nil, nil
	}
	known, err := e.labelList(ctx)
	if err != nil {
		return nil, err
	}
	var notices []connector.Notice
	var found, missing []string
	for _, name := range names {
		if known.has(name) {
			found = append(found, name)
			continue
		}
		missing = append(missing, name)
		if !slices.Contains(e.memory.Missing, name) {
			notices = append(notices, connector.Notice{Signal: connector.SignalGap, Reason: fmt.Sprintf(
				"%s says nothing about a label: %s", EmailLabeled, noLabel(name))})
		}
	}
	e.memory.Labels, e.memory.Missing = found, missing
	return notices, nil
}
