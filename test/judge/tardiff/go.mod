module panamax-tardiff-judge

go 1.24

tool (
	github.com/containers/tar-diff/cmd/tar-diff
	github.com/containers/tar-diff/cmd/tar-patch
)

require github.com/containers/tar-diff v0.1.2 // indirect

require (
	github.com/containers/image/v5 v5.4.3 // indirect
	github.com/klauspost/compress v1.10.4 // indirect
	github.com/klauspost/pgzip v1.2.3 // indirect
	github.com/konsorten/go-windows-terminal-sequences v1.0.2 // indirect
	github.com/pkg/errors v0.9.1 // indirect
	github.com/sirupsen/logrus v1.4.2 // indirect
	github.com/ulikunitz/xz v0.5.7 // indirect
	golang.org/x/sys v0.0.0-20200327173247-9dae0f8f5775 // indirect
)
