package main

import (
	"context"
	"fmt"
	"io"

	"github.com/interactorhq/interactor"
)

// resealAll seals everything anew and says what was done. What could not be opened
// is an error: whoever removes the former key should look at it before.
func resealAll(ctx context.Context, in *interactor.Interactor, stdout io.Writer) error {
	done, err := in.Reseal(ctx)
	for _, k := range done.Kinds {
		if k.Moved+k.Current+k.Failed > 0 {
			fmt.Fprintf(stdout, "%s: %d sealed anew, %d were so already, %d could not be opened\n", k.Kind, k.Moved, k.Current, k.Failed)
		}
		for _, f := range k.Failures {
			fmt.Fprintf(stdout, "  %s: %v\n", f.Record, f.Err)
		}
	}
	if n := done.Failed(); err == nil && n > 0 {
		return fmt.Errorf("%d values are as they were, because none of sealing_keys opens them: add the key that they were sealed with, or set them again", n)
	}
	return err
}
