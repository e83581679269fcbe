package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/sealpost/sealpost/clientlib/content"
)

// fileSize of the story's file: some hundred parts, so that the servers die within it.
const fileSize = 8 << 20

// sendFile has alice send a file full of what no server may see. It counts as a message, and
// goes on however often the relay dies under it.
func (r *run) sendFile(ctx context.Context) error {
	alice := r.people[0]
	line := r.mark + " in a file\n"
	r.file = []byte(strings.Repeat(line, fileSize/len(line)))
	what := content.File{Name: "story.txt", Type: "text/plain"}
	id, err := alice.client.SendFile(ctx, r.group, "", what, bytes.NewReader(r.file))
	if err != nil {
		return fmt.Errorf("sending a file: %w", err)
	}
	alice.wrote = append(alice.wrote, id)
	r.fileID, r.texts[id] = id, what.Name
	return nil
}

// checkFile has the others fetch the file.
func (r *run) checkFile(ctx context.Context) error {
	for _, p := range r.people[1:] {
		have, err := p.histories(ctx, r.group)
		if err != nil {
			return err
		}
		if len(have[r.fileID]) == 0 {
			return fmt.Errorf("%s has not heard of the file", p.handle)
		}
		var got bytes.Buffer
		if err := p.client.SaveFile(ctx, have[r.fileID][0], 0, &got); err != nil {
			return fmt.Errorf("%s fetches the file: %w", p.handle, err)
		}
		if !bytes.Equal(got.Bytes(), r.file) {
			return errors.New(p.handle + " got another file")
		}
	}
	r.say("bob and carol have fetched the file of %d bytes", len(r.file))
	return nil
}
