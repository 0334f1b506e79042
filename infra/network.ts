import { Fn, Validations } from "aws-cdk-lib";
import { GatewayVpcEndpointAwsService, type IVpc, SecurityGroup, SubnetType, Vpc } from "aws-cdk-lib/aws-ec2";
import { Construct } from "constructs";

/**
 * The network of the workers: public subnets, since a NAT gateway is billed by the hour even while no job runs, with no way
 * in. Their traffic with S3 goes through a gateway endpoint, which is free.
 */
export class Network extends Construct {
  readonly vpc: IVpc;
  readonly workers: SecurityGroup;

  constructor(scope: Construct, zones: number) {
    super(scope, "Network");
    // The class and its interface declare an absent VPN in two ways, which exactOptionalPropertyTypes tells apart.
    this.vpc = new Vpc(this, "Vpc", {
      availabilityZones: Array.from({ length: zones }, (_, zone) => Fn.select(zone, Fn.getAzs())),
      natGateways: 0,
      subnetConfiguration: [{ name: "workers", subnetType: SubnetType.PUBLIC }],
      restrictDefaultSecurityGroup: false,
      gatewayEndpoints: { S3: { service: GatewayVpcEndpointAwsService.S3 } },
    }) as IVpc;
    this.workers = new SecurityGroup(this, "Workers", {
      vpc: this.vpc,
      description: "workers: out to AWS, nothing in",
      allowAllOutbound: true,
    });
    Validations.of(this.vpc).acknowledge({
      id: "AwsSolutions-VPC7",
      reason: "nothing listens and nothing is let in; a flow log would mostly show S3 and would cost more",
    });
  }
}
