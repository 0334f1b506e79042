import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { IgnoreMode, Stack } from "aws-cdk-lib";
import { Repository } from "aws-cdk-lib/aws-ecr";
import { DockerImageAsset, Platform } from "aws-cdk-lib/aws-ecr-assets";
import { ContainerImage } from "aws-cdk-lib/aws-ecs";
import type { Construct } from "constructs";
import type { Device } from "../cloud/worker-groups.ts";

/** The patterns that Docker reads too: a change of a file that the worker is not built from makes no new image. */
const UNUSED = readFileSync(new URL("../worker/Dockerfile.dockerignore", import.meta.url), "utf8")
  .split("\n")
  .filter((line) => line !== "" && !line.startsWith("#"));

export type WorkerImage = { readonly container: ContainerImage; readonly uri: string };

/** @param uri of an existing image; undefined builds `worker/Dockerfile` at deployment, which needs Docker */
export function workerImage(scope: Construct, device: Device, uri: string | undefined): WorkerImage {
  if (uri !== undefined) return { container: existingImage(scope, device, uri), uri };
  const asset = createImageAsset(scope, device, fileURLToPath(new URL("..", import.meta.url)));
  return { container: ContainerImage.fromDockerImageAsset(asset), uri: asset.imageUri };
}

/** The image that `worker/Dockerfile` builds from a clone. Its hash is that of the files which the patterns let through. */
export function createImageAsset(scope: Construct, device: Device, clone: string): DockerImageAsset {
  return new DockerImageAsset(scope, `${device}-image`, {
    directory: clone,
    file: "worker/Dockerfile",
    buildArgs: { DEVICE: device },
    platform: Platform.LINUX_AMD64,
    exclude: UNUSED,
    ignoreMode: IgnoreMode.DOCKER,
  });
}

const ECR =
  /^(?<account>\d{12})\.dkr\.ecr\.(?<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?\/(?<repository>[^:@]+)[:@](?<tag>.+)$/;

/** Refers to an existing image. One in ECR needs a permission to be pulled, which CDK gives; any other is public. */
function existingImage(scope: Construct, device: Device, uri: string): ContainerImage {
  const { account, region, repository, tag } = ECR.exec(uri)?.groups ?? {};
  if (!account || !region || !repository || !tag) return ContainerImage.fromRegistry(uri);
  const images = Repository.fromRepositoryAttributes(scope, `${device}-repository`, {
    repositoryName: repository,
    repositoryArn: Stack.of(scope).formatArn({
      ...{ service: "ecr", region, account },
      ...{ resource: "repository", resourceName: repository },
    }),
  });
  return ContainerImage.fromEcrRepository(images, tag);
}
