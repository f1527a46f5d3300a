//go:build linux

package main

import (
	"fmt"
	"strings"
)

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
