"""One library: what is made through Face++ is there for FaceSearch clients, and the other way round."""


def test_a_faceset_is_a_library_there(api, finauth, photos):
    api("faceset/create", outer_id="lobby", display_name="Lobby", user_data="x")
    group = finauth("group_list")["group_infos"][0]
    assert (group["group_id"], group["group_name"], group["group_data"]) == ("lobby", "Lobby", "x")
    token = api.add("lobby", photos.P1)
    api("face/setuserid", face_token=token, user_id="anna")
    found = finauth("search", file=photos.P1b, group_id="lobby", threshold=80)["results"]
    assert [result["user_id"] for result in found] == ["anna"]
    deleted = finauth("delete", group_id="lobby", face_tokens=found[0]["face_token"])
    assert deleted["face_removed"] == 1
    assert api.tokens("lobby") == []
    assert api("face/getdetail", face_token=token).error == (400, f"INVALID_FACE_TOKEN: {token}")
    finauth("free", group_id="lobby")
    assert api("faceset/getfacesets")["facesets"] == []


def test_a_library_there_is_a_faceset(api, finauth, photos):
    finauth("create", group_id="theirs", group_name="Theirs")
    finauth("add", group_id="theirs", file=photos.P1, user_id="anna")
    assert api("faceset/getfacesets")["facesets"][0]["display_name"] == "Theirs"
    found = api("search", files={"image_file": photos.P1b}, outer_id="theirs")["results"][0]
    assert found["user_id"] == "anna"
    token = found["face_token"]
    api("faceset/create", outer_id="ours", face_tokens=token)
    assert [face["user_id"] for face in finauth("list", group_id="ours")["face_tokens"]] == ["anna"]
    assert api("faceset/removeface", outer_id="theirs", face_tokens=token)["face_removed"] == 1
    assert finauth("list", group_id="theirs")["face_tokens"] == []
    assert finauth("search", file=photos.P1, group_id="ours", threshold=80)["results"][0]["user_id"] == "anna"
    assert api("faceset/delete", outer_id="theirs")["outer_id"] == "theirs"
