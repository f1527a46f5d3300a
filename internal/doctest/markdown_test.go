// Package doctest keeps the documents true: Go code in them compiles or is that
// of the examples, JSON is JSON, and links lead somewhere.
package doctest

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

// document is one Markdown file of the repository.
type document struct {
	path  string // from the root, with slashes
	text  string
	lines []string
}

// block is a fenced code block.
type block struct {
	language string
	line     int // of its first line of code, from 1
	code     string
}

// documents returns every Markdown file, but for those that belong to tests and
// third-party parts.
func documents(t *testing.T) []document {
	t.Helper()
	var all []document
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := entry.Name(); entry.IsDir() && path != root && (strings.HasPrefix(name, ".") || name == "node_modules" || name == "testdata") {
			return fs.SkipDir
		}
		if entry.IsDir() || filepath.Ext(path) != ".md" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, path)
		all = append(all, document{path: filepath.ToSlash(relative), text: string(text), lines: strings.Split(string(text), "\n")})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// blocks returns the fenced blocks of one language.
func (d document) blocks(language string) (found []block) {
	var open *block
	for i, line := range d.lines {
		fence, ok := strings.CutPrefix(line, "```")
		switch {
		case ok && open == nil:
			open = &block{language: fence, line: i + 2}
		case ok:
			if open.language == language {
				found = append(found, *open)
			}
			open = nil
		case open != nil:
			open.code += line + "\n"
		}
	}
	return found
}

// prose is the text without code, which holds no links.
func (d document) prose() string {
	var b strings.Builder
	inside := false
	for _, line := range d.lines {
		if strings.HasPrefix(line, "```") {
			inside = !inside
			continue
		}
		if !inside {
			b.WriteString(inlineCode.ReplaceAllString(line, "") + "\n")
		}
	}
	return b.String()
}

var (
	inlineCode = regexp.MustCompile("`[^`]*`")
	heading    = regexp.MustCompile(`(?m)^#+ +(.+?) *$`)
	notInSlug  = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
)

// anchors are the fragments that GitHub gives to the headings.
func (d document) anchors() map[string]bool {
	found := make(map[string]bool)
	inside := false
	for _, line := range d.lines {
		if strings.HasPrefix(line, "```") {
			inside = !inside
		}
		if m := heading.FindStringSubmatch(line); m != nil && !inside {
			slug := notInSlug.ReplaceAllString(strings.ToLower(m[1]), "")
			found[strings.ReplaceAll(slug, " ", "-")] = true
		}
	}
	return found
}
