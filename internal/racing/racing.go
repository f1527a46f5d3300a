// Package racing tells tests whether the race detector is on, for those that it
// makes take ten times as long and that have a run without it.
package racing
