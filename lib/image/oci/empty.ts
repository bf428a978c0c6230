/** The empty descriptor that stands where an artifact has nothing to say (OCI image-spec manifest.md). */

export const EMPTY_TYPE = 'application/vnd.oci.empty.v1+json';
export const EMPTY_DOCUMENT: Buffer = Buffer.from('{}');
