// Calls the image service of a container runtime, as the kubelet does.
//
//	cri-judge pull NAME      pulls an image; prints its ID
//	cri-judge inspect NAME   prints ID, digests and size of a present image as JSON
//	cri-judge remove NAME    removes an image
//
// CRI_SOCKET is the path of the runtime's socket.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: cri-judge pull|inspect|remove NAME")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	plain := grpc.WithTransportCredentials(insecure.NewCredentials())
	connection, err := grpc.NewClient("unix://"+os.Getenv("CRI_SOCKET"), plain)
	must(err)
	images := cri.NewImageServiceClient(connection)
	image := &cri.ImageSpec{Image: os.Args[2]}
	switch os.Args[1] {
	case "pull":
		pulled, err := images.PullImage(ctx, &cri.PullImageRequest{Image: image})
		must(err)
		fmt.Println(pulled.ImageRef)
	case "inspect":
		status, err := images.ImageStatus(ctx, &cri.ImageStatusRequest{Image: image})
		must(err)
		if status.Image == nil {
			log.Fatalf("no image %s", image.Image)
		}
		must(json.NewEncoder(os.Stdout).Encode(map[string]any{
			"id":      status.Image.Id,
			"digests": status.Image.RepoDigests,
			"size":    status.Image.Size,
		}))
	case "remove":
		_, err := images.RemoveImage(ctx, &cri.RemoveImageRequest{Image: image})
		must(err)
	}
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
