package interactor_test

import (
	"math"
	"strings"
	"testing"

	"github.com/interactorhq/interactor"
	"github.com/interactorhq/interactor/connector/gmail"
	"github.com/interactorhq/interactor/connector/gmail/gmailtest"
)

// A rate for a connector that is not there would be without effect.
func TestWatchRatesAreChecked(t *testing.T) {
	t.Parallel()
	google := gmailtest.NewServer()
	t.Cleanup(google.Close)
	_, err := interactor.New(interactor.Config{
		Connectors: []interactor.Connector{gmail.New(google.Config())},
		WatchRates: map[string]float64{"gmial": 5, "gmail": math.NaN(), "": -1},
	})
	if err == nil {
		t.Fatal("it was taken")
	}
	for _, want := range []string{`WatchRates names "gmial"`, `WatchRates["gmail"] is NaN`, `WatchRates names ""`, `WatchRates[""] is -1`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), `WatchRates names "gmail"`) || strings.Contains(err.Error(), `WatchRates["gmial"]`) {
		t.Errorf("what is right is refused: %v", err)
	}
}
