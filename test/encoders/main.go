// Command encoders compresses standard input with the encoders that tests compare with.
package main

import (
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/klauspost/compress/zstd"
	"github.com/klauspost/pgzip"
)

func main() {
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(encoder, level string) error {
	number, err := strconv.Atoi(level)
	if err != nil {
		return err
	}
	var writer io.WriteCloser
	switch encoder {
	case "go":
		writer, err = gzip.NewWriterLevel(os.Stdout, number)
	case "pgzip":
		writer, err = pgzip.NewWriterLevel(os.Stdout, number)
	case "zstd":
		writer, err = zstd.NewWriter(os.Stdout, zstd.WithEncoderLevel(zstd.EncoderLevel(number)))
	default:
		err = fmt.Errorf("no encoder %q", encoder)
	}
	if err != nil {
		return err
	}
	if _, err := io.Copy(writer, os.Stdin); err != nil {
		return err
	}
	return writer.Close()
}
