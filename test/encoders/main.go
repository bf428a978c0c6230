// Command encoders compresses with the encoders that tests compare with. It reads requests from standard input until
// its end: a line with encoder, level and number of bytes, then the bytes. It answers each with a line that has the
// number of compressed bytes, and these bytes.
package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"
	"github.com/klauspost/pgzip"
)

func main() {
	if err := serve(bufio.NewReader(os.Stdin), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(requests *bufio.Reader, answers io.Writer) error {
	for {
		var encoder string
		var level int
		var size int64
		if _, err := fmt.Fscanf(requests, "%s %d %d\n", &encoder, &level, &size); err != nil {
			if err == io.EOF {
				return nil
			}
			return err
		}
		var output bytes.Buffer
		if err := compress(encoder, level, io.LimitReader(requests, size), &output); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(answers, "%d\n", output.Len()); err != nil {
			return err
		}
		if _, err := output.WriteTo(answers); err != nil {
			return err
		}
	}
}

func compress(encoder string, level int, input io.Reader, output io.Writer) error {
	var writer io.WriteCloser
	var err error
	switch encoder {
	case "go":
		writer, err = gzip.NewWriterLevel(output, level)
	case "pgzip":
		writer, err = pgzip.NewWriterLevel(output, level)
	case "zstd":
		writer, err = zstd.NewWriter(output, zstd.WithEncoderLevel(zstd.EncoderLevel(level)))
	default:
		err = fmt.Errorf("no encoder %q", encoder)
	}
	if err != nil {
		return err
	}
	if _, err := io.Copy(writer, input); err != nil {
		return err
	}
	return writer.Close()
}
