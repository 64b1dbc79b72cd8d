package telemetry

import (
	"fmt"
	"os"
	"sync"
)

// File is a log file that is appended to. It is safe for concurrent use.
type File struct {
	path string

	mu   sync.Mutex
	file *os.File
}

// OpenFile opens a log file, and creates it, for its owner alone, if there is none.
func OpenFile(path string) (*File, error) {
	file, err := openLog(path)
	return &File{path: path, file: file}, err
}

func openLog(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("log file: %w; correct the path, or let keybearer write there", err)
	}
	return file, nil
}

// Reopen opens the path anew, for whoever rotates logs by renaming them. If that
// fails the old file stays in use.
func (f *File) Reopen() error {
	file, err := openLog(f.path)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.file.Close()
	f.file = file
	return nil
}

// Write implements io.Writer.
func (f *File) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.file.Write(b)
}

// Close implements io.Closer.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.file.Close()
}
