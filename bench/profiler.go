//go:build linux

package main

import (
	"errors"
	"os"
	"runtime/pprof"
	"runtime/trace"
)

// profiler writes what go tool pprof and go tool trace read.
type profiler struct {
	cfg        serverConfig
	cpu, trace *os.File
}

func (p *profiler) start() (err error) {
	if p.cfg.CPUProfile != "" {
		if p.cpu, err = os.Create(p.cfg.CPUProfile); err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(p.cpu); err != nil {
			return err
		}
	}
	if p.cfg.Trace != "" {
		if p.trace, err = os.Create(p.cfg.Trace); err != nil {
			return err
		}
		return trace.Start(p.trace)
	}
	return nil
}

func (p *profiler) stop() error {
	var errs []error
	if p.cpu != nil {
		pprof.StopCPUProfile()
		errs, p.cpu = append(errs, p.cpu.Close()), nil
	}
	if p.trace != nil {
		trace.Stop()
		errs, p.trace = append(errs, p.trace.Close()), nil
	}
	if p.cfg.MemProfile != "" {
		f, err := os.Create(p.cfg.MemProfile)
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		errs = append(errs, pprof.Lookup("allocs").WriteTo(f, 0), f.Close())
	}
	return errors.Join(errs...)
}
