package jiratest

import (
	"fmt"
	"slices"
	"strings"
)

// query is a parsed JQL query. Its condition is nil when it has none.
type query struct {
	condition *condition
	order     []order
}

type order struct {
	field string
	down  bool
}

// condition is AND, OR or NOT of parts, or one clause.
type condition struct {
	op    string // "and", "or", "not", or empty: a clause
	parts []*condition

	field    string // lower case
	written  string // as it was written
	operator string // =, !=, in, not in, is, is not, >, >=, <, <=, ~, !~
	values   []operand
}

// operand is a value, EMPTY, or a function without arguments.
type operand struct {
	text     string
	empty    bool
	function bool
}

// parseJQL reads the part of JQL that connectors use: AND, OR, NOT, brackets,
// comparisons of one field with values, EMPTY, functions without arguments and
// ORDER BY. The error is Jira's in kind, not word for word.
func parseJQL(text string) (*query, error) {
	words, err := splitJQL(text)
	if err != nil {
		return nil, err
	}
	p := &jqlParser{words: words}
	q := &query{}
	if !p.done() && !p.is("order") {
		if q.condition, err = p.any(0); err != nil {
			return nil, err
		}
	}
	if p.take("order") {
		if q.order, err = p.orderBy(); err != nil {
			return nil, err
		}
	}
	if !p.done() {
		return nil, p.unexpected()
	}
	return q, nil
}

// word is a token of JQL. quoted ones are never keywords.
type word struct {
	text   string
	quoted bool
}

const jqlSymbols = "=!<>~(),"

func (w word) symbol() bool { return !w.quoted && strings.IndexByte(jqlSymbols, w.text[0]) >= 0 }

func splitJQL(text string) ([]word, error) {
	if len(text) > 10_000 {
		return nil, fmt.Errorf("the query is longer than 10000 characters")
	}
	var words []word
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case strings.IndexByte(" \t\r\n", c) >= 0:
			i++
		case c == '"' || c == '\'':
			w, end, ok := quotedWord(text, i)
			if !ok {
				return nil, fmt.Errorf("the quoted string %s has not been completed", text[i:])
			}
			words = append(words, word{text: w, quoted: true})
			i = end
		case strings.IndexByte(jqlSymbols, c) >= 0:
			n := 1
			if i+1 < len(text) && slices.Contains([]string{"!=", ">=", "<=", "!~"}, text[i:i+2]) {
				n = 2
			}
			words = append(words, word{text: text[i : i+n]})
			i += n
		default:
			end := i
			for end < len(text) && strings.IndexByte(" \t\r\n\"'"+jqlSymbols, text[end]) < 0 {
				end++
			}
			words = append(words, word{text: text[i:end]})
			i = end
		}
	}
	return words, nil
}

// quotedWord reads from the quote at i to the one that ends it.
func quotedWord(text string, i int) (w string, end int, ok bool) {
	var b strings.Builder
	for j := i + 1; j < len(text); j++ {
		switch text[j] {
		case '\\':
			if j++; j < len(text) {
				b.WriteByte(text[j])
			}
		case text[i]:
			return b.String(), j + 1, true
		default:
			b.WriteByte(text[j])
		}
	}
	return "", 0, false
}

type jqlParser struct {
	words []word
	at    int
}

func (p *jqlParser) done() bool { return p.at == len(p.words) }

func (p *jqlParser) is(keyword string) bool {
	return !p.done() && !p.words[p.at].quoted && strings.EqualFold(p.words[p.at].text, keyword)
}

func (p *jqlParser) take(keyword string) bool {
	if p.is(keyword) {
		p.at++
		return true
	}
	return false
}

func (p *jqlParser) unexpected() error {
	if p.done() {
		return fmt.Errorf("error in the JQL query: the query ends too early")
	}
	return fmt.Errorf("error in the JQL query: '%s' is not expected here", p.words[p.at].text)
}

const maxDepth = 50

func (p *jqlParser) any(depth int) (*condition, error) {
	return p.chain("or", depth, func() (*condition, error) {
		return p.chain("and", depth, func() (*condition, error) { return p.one(depth) })
	})
}

// chain reads parts joined by a keyword.
func (p *jqlParser) chain(keyword string, depth int, part func() (*condition, error)) (*condition, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("the query is nested too deeply")
	}
	all := &condition{op: keyword}
	for {
		c, err := part()
		if err != nil {
			return nil, err
		}
		all.parts = append(all.parts, c)
		if !p.take(keyword) {
			break
		}
	}
	if len(all.parts) == 1 {
		return all.parts[0], nil
	}
	return all, nil
}

func (p *jqlParser) one(depth int) (*condition, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("the query is nested too deeply")
	}
	switch {
	case p.take("not"), p.take("!"):
		c, err := p.one(depth + 1)
		if err != nil {
			return nil, err
		}
		return &condition{op: "not", parts: []*condition{c}}, nil
	case p.take("("):
		c, err := p.any(depth + 1)
		if err != nil {
			return nil, err
		}
		if !p.take(")") {
			return nil, p.unexpected()
		}
		return c, nil
	}
	return p.clause()
}

func (p *jqlParser) clause() (*condition, error) {
	if p.done() || p.words[p.at].symbol() {
		return nil, p.unexpected()
	}
	c := &condition{field: strings.ToLower(p.words[p.at].text), written: p.words[p.at].text}
	p.at++
	switch {
	case p.take("not"):
		if !p.take("in") {
			return nil, p.unexpected()
		}
		c.operator = "not in"
	case p.take("is"):
		c.operator = "is"
		if p.take("not") {
			c.operator = "is not"
		}
	default:
		for _, op := range []string{"=", "!=", ">=", "<=", ">", "<", "~", "!~", "in"} {
			if p.take(op) {
				c.operator = op
				break
			}
		}
	}
	if c.operator == "" {
		return nil, p.unexpected()
	}
	if strings.HasSuffix(c.operator, "in") {
		return c, p.values(c)
	}
	v, err := p.operand()
	c.values = []operand{v}
	return c, err
}

// values reads a list in brackets.
func (p *jqlParser) values(c *condition) error {
	if !p.take("(") {
		return p.unexpected()
	}
	for {
		v, err := p.operand()
		if err != nil {
			return err
		}
		c.values = append(c.values, v)
		if p.take(")") {
			return nil
		}
		if !p.take(",") {
			return p.unexpected()
		}
	}
}

func (p *jqlParser) operand() (operand, error) {
	if p.done() || p.words[p.at].symbol() {
		return operand{}, p.unexpected()
	}
	w := p.words[p.at]
	p.at++
	if w.quoted {
		return operand{text: w.text}, nil
	}
	if p.take("(") {
		if !p.take(")") {
			return operand{}, p.unexpected()
		}
		return operand{text: strings.ToLower(w.text), function: true}, nil
	}
	if strings.EqualFold(w.text, "empty") || strings.EqualFold(w.text, "null") {
		return operand{empty: true}, nil
	}
	return operand{text: w.text}, nil
}

func (p *jqlParser) orderBy() ([]order, error) {
	if !p.take("by") {
		return nil, p.unexpected()
	}
	var all []order
	for {
		if p.done() {
			return nil, p.unexpected()
		}
		o := order{field: strings.ToLower(p.words[p.at].text)}
		p.at++
		if p.take("desc") {
			o.down = true
		} else {
			p.take("asc")
		}
		all = append(all, o)
		if !p.take(",") {
			return all, nil
		}
	}
}

// clauses are all clauses of a condition.
func (c *condition) clauses() []*condition {
	switch {
	case c == nil:
		return nil
	case c.op == "":
		return []*condition{c}
	}
	var all []*condition
	for _, part := range c.parts {
		all = append(all, part.clauses()...)
	}
	return all
}
