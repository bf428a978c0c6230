/** Names of the oci-delta specification (github.com/containers/oci-delta, README.md, "Delta file format"). */

export const ARTIFACT_TYPE = 'application/vnd.io.github.containers.oci-delta.v1';
/** Of its annotations. */
export const ANNOTATION_PREFIX = 'io.github.containers.delta';
