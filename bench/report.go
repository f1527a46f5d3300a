//go:build linux

package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// report is what one call of the program has found.
type report struct {
	Machine   machine                  `json:"machine"`
	Started   time.Time                `json:"started"`
	Took      string                   `json:"took"`
	Options   map[string]string        `json:"options"`
	Scenarios map[string][]measurement `json:"scenarios"`
	Budgets   []budget                 `json:"budgets"`

	order []string // of Scenarios
}

// budget is a bound and what was measured, mostly a ratio of medians.
type budget struct {
	Scenario string  `json:"scenario"`
	What     string  `json:"what"`
	Sign     string  `json:"sign"` // atLeast, atMost, or empty: only reported
	Bound    float64 `json:"bound"`
	Got      spread  `json:"got"`  // the median counts
	Runs     int     `json:"runs"` // that were fit to be judged
	Of       int     `json:"of"`
	Verdict  string  `json:"verdict"`
}

const (
	atLeast = "≥"
	atMost  = "≤"
)

// Verdicts.
const (
	withinBudget = "ok"
	overBudget   = "over"
	notJudged    = "not judged" // most runs were not the load that was meant
	onlyReported = "-"
)

// sample is a quantity in several runs, without those that are not to be judged.
type sample struct {
	values []float64
	of     int
}

// judge adds a budget. The scenario's runs have been added before.
func (r *report) judge(scenario, what, sign string, bound float64, got sample) {
	if got.of == 0 {
		return // not measured
	}
	b := budget{scenario, what, sign, bound, spreadOf(got.values), len(got.values), got.of, overBudget}
	switch {
	case sign == "":
		b.Verdict = onlyReported
	case 2*len(got.values) <= got.of:
		b.Verdict = notJudged
	case sign == atLeast && b.Got.Median >= bound, sign == atMost && b.Got.Median <= bound:
		b.Verdict = withinBudget
	}
	r.Budgets = append(r.Budgets, b)
}

func (r *report) add(name string, m measurement) {
	if r.Scenarios == nil {
		r.Scenarios = make(map[string][]measurement)
	}
	if !slices.Contains(r.order, name) {
		r.order = append(r.order, name)
	}
	r.Scenarios[name] = append(r.Scenarios[name], m)
}

// runs are those of a contender under one load.
func (r *report) runs(scenario, kind, phase string) (out []measurement) {
	for _, m := range r.Scenarios[scenario] {
		if m.Kind == kind && m.Phase == phase {
			out = append(out, m)
		}
	}
	return out
}

// ratio of what two contenders, or one under two loads, have in the same run: they
// ran one after another, so that what else the machine did was alike.
func ratio(over, under []measurement, of func(measurement) float64) (s sample) {
	s.of = min(len(over), len(under))
	for i := range s.of {
		if over[i].Void == "" && under[i].Void == "" && of(under[i]) > 0 {
			s.values = append(s.values, of(over[i])/of(under[i]))
		}
	}
	return s
}

// each run's value, also of one that does not count in comparisons.
func each(runs []measurement, of func(measurement) float64) (s sample) {
	s.of = len(runs)
	for _, m := range runs {
		s.values = append(s.values, of(m))
	}
	return s
}

func perSecond(m measurement) float64    { return m.PerSecond }
func cpu(m measurement) float64          { return m.CPU }
func peak(m measurement) float64         { return m.Peak }
func ackP50(m measurement) float64       { return m.Ack.P50 }
func ackP99(m measurement) float64       { return m.Ack.P99 }
func deliverP50(m measurement) float64   { return m.Deliver.P50 }
func deliverP99(m measurement) float64   { return m.Deliver.P99 }
func missing(m measurement) float64      { return float64(m.Missing) }
func firstAttempt(m measurement) float64 { return m.First }

// megabytes are 10^6 bytes: budgets have them.
func megabytes(m measurement) float64 { return m.Peak * (1 << 20) / 1e6 }

// verdict says in a line what -check found, and how the program ends: 0 when all is
// within budget, 1 when something is over it, 2 when something could not be judged.
func (r *report) verdict() (line string, status int) {
	var over, open []string
	ok := 0
	for _, b := range r.Budgets {
		switch b.Verdict {
		case withinBudget:
			ok++
		case overBudget:
			over = append(over, b.Scenario+": "+b.What)
		case notJudged:
			open = append(open, b.Scenario+": "+b.What)
		}
	}
	line = fmt.Sprintf("check: %d ok, %d over, %d not judged", ok, len(over), len(open))
	for _, some := range []struct {
		name string
		list []string
	}{{"over", over}, {"not judged", open}} {
		if len(some.list) > 0 {
			line += "; " + some.name + ": " + strings.Join(some.list, ", ")
		}
	}
	switch {
	case len(over) > 0:
		return line, 1
	case len(open) > 0 || ok == 0:
		return line, 2
	}
	return line, 0
}

func (r *report) writeJSON(file string) error {
	b, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o644) //nolint:gosec // a report is for everybody
}

// table is what print and markdown show.
type table struct {
	title  string
	header []string
	rows   [][]string
}

func (r *report) tables() []table {
	about := table{title: "Machine", header: []string{"what", "value"}}
	m := r.Machine
	for _, row := range [][2]string{
		{"processor", fmt.Sprintf("%s, %d processors", m.CPU, m.Processors)},
		{"memory", fmt.Sprintf("%.1f GiB", m.MemoryGiB)},
		{"kernel", m.Kernel},
		{"file system", m.FileSystem + " (" + m.Mount + ")"},
		{"fsync of 8 KiB", fmt.Sprintf("p50 %.0f µs, p99 %.0f µs", m.Fsync.P50, m.Fsync.P99)},
		{"load before", m.Load},
		{"Go", m.Go},
		{"GOGC, GOMAXPROCS of the server", r.gogc()},
		{"pragmas", r.pragmas()},
		{"run", r.Started.Format(time.RFC3339) + ", took " + r.Took + ", " + r.options()},
	} {
		about.rows = append(about.rows, row[:])
	}
	out := []table{about}
	for _, name := range r.order {
		out = append(out, r.scenarioTable(name))
	}
	if len(r.Budgets) > 0 {
		out = append(out, r.budgetTable())
	}
	return out
}

func (r *report) budgetTable() table {
	t := table{title: "Budgets", header: []string{"scenario", "what", "budget", "median", "min … max", "runs", "verdict"}}
	for _, b := range r.Budgets {
		bound, median, between := "-", "-", "-"
		if b.Sign != "" {
			bound = b.Sign + " " + number(b.Bound)
		}
		if b.Runs > 0 {
			median, between = number(b.Got.Median), number(b.Got.Min)+" … "+number(b.Got.Max)
		}
		t.rows = append(t.rows, []string{b.Scenario, b.What, bound, median, between, fmt.Sprintf("%d of %d", b.Runs, b.Of), b.Verdict})
	}
	return t
}

// column of a scenario's table: a median, left out where it tells nothing of
// anybody.
type column struct {
	name   string
	format string
	of     func(measurement) float64
	there  func(measurement) bool // defaults to: it is not zero
}

func columns() []column {
	counted := func(m measurement) bool { return m.Events > 0 }
	acked := func(m measurement) bool { return m.Ack.Max > 0 }
	delivered := func(m measurement) bool { return m.Deliver.Max > 0 }
	return []column{
		{"events/s", "%.0f", perSecond, counted},
		{"CPU/event", "%.0f µs", cpu, counted},
		{"processors", "%.2f", func(m measurement) float64 { return m.Load }, nil},
		{"ack p50", "%.2f ms", milli(ackP50), acked},
		{"ack p99", "%.2f ms", milli(ackP99), acked},
		{"delivered p50", "%.2f ms", milli(deliverP50), delivered},
		{"delivered p99", "%.2f ms", milli(deliverP99), delivered},
		{"first attempt", "%.3f s", firstAttempt, nil},
		{"recovery", "%.1f s", func(m measurement) float64 { return m.Recovery }, nil},
		{"drained", "%.1f s", func(m measurement) float64 { return m.Drained }, nil},
		{"RSS", "%.0f MiB", peak, nil},
		{"writes/commit", "%.1f", func(m measurement) float64 { return float64(m.Writes) / float64(max(1, m.Commits)) }, nil},
		{"tries/event", "%.2f", func(m measurement) float64 { return m.Tries }, func(m measurement) bool { return m.Events > 0 && m.Tries >= 1.005 }},
		{"allocations", "%.0f", func(m measurement) float64 { return m.Mallocs }, counted},
	}
}

func milli(of func(measurement) float64) func(measurement) float64 {
	return func(m measurement) float64 { return of(m) / 1e3 }
}

// cell is the median of some runs; empty: there is none.
func (c *column) cell(runs []measurement) string {
	var values []float64
	for _, m := range runs {
		v := c.of(m)
		if (c.there == nil && v != 0) || (c.there != nil && c.there(m)) {
			values = append(values, v)
		}
	}
	if len(values) == 0 {
		return ""
	}
	s := spreadOf(values)
	text := fmt.Sprintf(c.format, s.Median)
	if c.name == "events/s" && len(values) > 1 {
		text += fmt.Sprintf(" ("+c.format+" … "+c.format+")", s.Min, s.Max)
	}
	return text
}

// scenarioTable has one row for each contender under each load: medians, and the
// spread of throughput.
func (r *report) scenarioTable(name string) table {
	type key struct{ phase, kind string }
	var keys []key
	for _, m := range r.Scenarios[name] {
		if k := (key{m.Phase, m.Kind}); !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	phases := func(k key) int { return slices.IndexFunc(keys, func(o key) bool { return o.phase == k.phase }) }
	keys = slices.SortedStableFunc(slices.Values(keys), func(a, b key) int { return phases(a) - phases(b) })
	t := table{title: name, header: []string{"load", "who"}}
	for _, k := range keys {
		t.rows = append(t.rows, []string{k.phase, k.kind})
	}
	for _, c := range columns() {
		cells := make([]string, len(keys))
		told := false
		for i, k := range keys {
			cells[i] = c.cell(r.runs(name, k.kind, k.phase))
			told = told || cells[i] != ""
		}
		if !told {
			continue
		}
		t.header = append(t.header, c.name)
		for i := range cells {
			t.rows[i] = append(t.rows[i], cmp.Or(cells[i], "-"))
		}
	}
	return t
}

func number(v float64) string {
	if v >= 100 || v == math.Trunc(v) {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func (r *report) options() string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(r.Options)) {
		out = append(out, name+" "+r.Options[name])
	}
	return strings.Join(out, ", ")
}

// setup is what some server said of itself.
func (r *report) setup() (s serverStats) {
	for _, name := range r.order {
		for _, m := range r.Scenarios[name] {
			if s = m.Setup; m.Kind == ours {
				return s
			}
		}
	}
	return s
}

func (r *report) gogc() string {
	s := r.setup()
	return fmt.Sprintf("%d, %d", s.GOGC, s.Procs)
}

func (r *report) pragmas() string {
	s := r.setup()
	var out []string
	for _, name := range slices.Sorted(maps.Keys(s.Pragmas)) {
		out = append(out, name+"="+s.Pragmas[name])
	}
	return strings.Join(out, ", ")
}

// print writes tables for a terminal.
func (r *report) print(w io.Writer) {
	for _, t := range r.tables() {
		fmt.Fprintf(w, "\n%s\n", t.title)
		tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(tw, strings.Join(t.header, "\t"))
		for _, row := range t.rows {
			fmt.Fprintln(tw, strings.Join(row, "\t"))
		}
		_ = tw.Flush() // as the prints before
	}
}

// markdown writes the same for docs/performance.md.
func (r *report) markdown(w io.Writer) {
	for _, t := range r.tables() {
		fmt.Fprintf(w, "\n### %s\n\n| %s |\n|%s\n", t.title, strings.Join(t.header, " | "), strings.Repeat(" --- |", len(t.header)))
		for _, row := range t.rows {
			fmt.Fprintf(w, "| %s |\n", strings.ReplaceAll(strings.Join(row, " | "), "\n", " "))
		}
	}
}
